import SwiftletCUDA
import SwiftletOpChecks
import Testing

/// The rooms over rows and elements on a GPU that is not there: launches, shapes and memory, no numbers.
@Suite struct RowRoomTests {
  // Not the embedding from host memory: a simulated GPU has no pinned memory to write to.
  private static let rooms = [
    "rmsNorm", "layerNorm", "rope", "gated activations", "elementwise", "embedding", "dropout", "routing",
  ]

  @Test(arguments: rooms) func resultsHaveTheirSizesAndMemoryIsGivenBack(_ room: String) throws {
    let ordinal = 1100 + (Self.rooms.firstIndex(of: room) ?? 0)
    _ = CUDADevice.simulated(capability: (9, 0), memory: 8 << 30, ordinal: ordinal)
    let check = try #require(SelfCheck.gpu(ordinal).first { $0.name == "cuda:\(ordinal) \(room)" })
    let results = check.run()
    #expect(!results.isEmpty)
    // What the numbers are is for real GPUs to say.
    for result in results where result.name.hasSuffix("not given back") || result.error == .infinity {
      #expect(result.passed, "\(result)")
    }
  }
}
