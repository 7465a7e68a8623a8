import SwiftletCPU
import Testing

/// Tests that change process-wide settings (threads, instruction set) run one after another inside this suite.
@Suite(.serialized) enum PlatformSettings {}

extension PlatformSettings {
  @Suite struct ParallelTests {
    @Test func everyItemOnceWhateverTheThreads() {
      let before = Parallel.threads
      defer { Parallel.threads = before }
      for threads in [1, 2, 3, 8] {
        Parallel.threads = threads
        for (count, grain) in [(0, 1), (1, 1), (5, 2), (64, 1), (1000, 1), (1000, 300), (100_003, 7)] {
          var hits = [UInt8](repeating: 0, count: count)
          hits.withUnsafeMutableBufferPointer { hits in
            parallelFor(count, grain: grain) { range in
              for i in range { hits[i] += 1 }
            }
          }
          #expect(hits.allSatisfy { $0 == 1 }, "threads \(threads) count \(count) grain \(grain)")
        }
      }
    }

    @Test func nestedCallsRunInline() {
      var sums = [Int](repeating: 0, count: 16)
      sums.withUnsafeMutableBufferPointer { sums in
        parallelFor(16) { outer in
          for i in outer { parallelFor(100) { inner in for j in inner { sums[i] += j } } }
        }
      }
      #expect(sums.allSatisfy { $0 == 4950 })
    }

    @Test func manyShortCallsFromManyThreads() async {
      await withTaskGroup(of: Int.self) { group in
        for _ in 0..<4 {
          group.addTask {
            (0..<2000).reduce(0) { total, _ in
              total + parallelReduce(256, block: 16, 0, partial: { $0.reduce(0, +) }, combine: +)
            }
          }
        }
        for await total in group { #expect(total == 2000 * 32640) }
      }
    }

    @Test func reductionHasTheSameBitsOnAnyThreads() {
      let before = Parallel.threads
      defer { Parallel.threads = before }
      let values = (0..<10_001).map { Float($0).squareRoot() * ($0 % 3 == 0 ? -1 : 1) }
      let sums = [1, 2, 5].map { threads in
        Parallel.threads = threads
        return parallelReduce(values.count, block: 100, Float(0), partial: { values[$0].reduce(0, +) }, combine: +)
      }
      #expect(Set(sums.map(\.bitPattern)).count == 1)
      #expect(abs(sums[0] - values.reduce(0, +)) < 1)
    }
  }
}
