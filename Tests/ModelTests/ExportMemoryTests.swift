import Foundation
import SwiftletCPU
import SwiftletCheckpoints
import SwiftletExport
import SwiftletFormats
import SwiftletModels
import SwiftletTensorCore
import Testing

/// The memory of an export is that of a few tensors, not of the model, though files are read by mapping them.
@Suite(.serialized) struct ExportMemoryTests {
  private static let config = """
    {"model_type":"llama","vocab_size":4096,"hidden_size":512,"intermediate_size":1536,"num_hidden_layers":16,"num_attention_heads":8,
    "num_key_value_heads":8,"rms_norm_eps":1e-5,"max_position_embeddings":128,"tie_word_embeddings":false}
    """

  /// How far the process's memory in RAM rises while `body` runs; nil where the system does not say.
  private func rise(_ body: () throws -> Void) throws -> Int? {
    HostMemory.trim()
    guard let file = FileHandle(forWritingAtPath: "/proc/self/clear_refs") else { return nil }
    // 5 starts a new peak.
    try file.write(contentsOf: Data("5".utf8))
    let before = ProcessMemory.residentBytes
    try body()
    return ProcessMemory.peakResidentBytes - before
  }

  @Test func staysBelowTheModel() throws {
    try Fixtures.withTemporaryFolder { target in
      let config = try ModelConfig(parsing: Self.config)
      try ModelFile.save(
        ModelRegistry.make(config: config, source: .random(seed: 1)), to: target + "/m", ModelFile.Options(format: .bfloat16))
      let size = try FileManager.default.attributesOfItem(atPath: target + "/m/model.safetensors")[.size] as? Int ?? 0
      let model = try ModelLoader.load(target + "/m")
      let export = ModelExport(model, base: target + "/m", text: nil)
      for format in [ModelExport.Format.merged(), .merged(.float32), .bnb4bit(), .gguf(.q8_0), .gguf(.bf16)] {
        let rise = try rise { _ = try export.write(format, to: target + "/out") }
        try FileManager.default.removeItem(atPath: target + "/out")
        guard let rise else { return print("skipped: /proc/self/clear_refs is not there") }
        #expect(rise < size / 2, "\(format): \(rise) of \(size) bytes")
      }
      // Coding on load gives back what it has read.
      let loading = try rise { _ = try ModelLoader.load(target + "/m", as: .nf4) }
      #expect(loading ?? 0 < size * 3 / 4, "\(loading ?? 0) of \(size) bytes")
    }
  }
}
