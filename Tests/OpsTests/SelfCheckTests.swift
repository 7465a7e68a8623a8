import SwiftletCUDA
import SwiftletOpChecks
import Testing

@Suite struct SelfCheckTests {
  @Test(arguments: SelfCheck.all.map(\.name)) func holds(_ name: String) {
    for check in SelfCheck.all where check.name == name {
      let results = check.run()
      #expect(!results.isEmpty || name.contains("nothing"))
      for result in results { #expect(result.passed, "\(result)") }
    }
  }

  /// What the checks of products and attention on a GPU do on the host: on a simulated one, which computes nothing, they come to their end, ask
  /// for kernels and products that are possible, and give all memory back. (Other rooms' read tables from memory that is not there.)
  @Test func hostSidesOfGPUChecksHold() {
    let rooms = ["loraLinear", "linearGroup", "tiled", "gatedMLP", "attention"]
    for (ordinal, major) in [(7000, 9), (7001, 8)] {
      let gpu = CUDADevice.simulated(capability: (major, 0), memory: 1 << 36, ordinal: ordinal)
      let checks = SelfCheck.gpu(ordinal).filter { check in rooms.contains { check.name.hasPrefix("cuda:\(ordinal) \($0)") } }
      #expect(checks.count > 10)
      for room in checks {
        let returned = room.run().last
        #expect(
          returned?.name.hasSuffix("bytes not given back") == true && returned?.passed == true,
          "\(room.name): \(String(describing: returned))")
      }
      #expect(!gpu.hasFailed)
    }
  }
}
