import Foundation
import SwiftletOpChecks
import Testing

/// Times the hot ops where SWIFTLET_BENCH is set; a test only in that it runs from the test command.
@Suite struct BenchmarkTests {
  @Test(.enabled(if: ProcessInfo.processInfo.environment["SWIFTLET_BENCH"] != nil, "set SWIFTLET_BENCH to time the ops"))
  func opsOfATrainingStep() {
    let timings = OpBenchmark.llama100M().map { $0.measure() }
    for timing in timings { print(timing) }
    #expect(timings.allSatisfy { $0.seconds > 0 })
  }
}
