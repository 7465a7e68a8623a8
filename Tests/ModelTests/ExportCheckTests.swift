import Foundation
import SwiftletCheckpoints
import SwiftletExport
import SwiftletFormats
import SwiftletModels
import Testing

/// What an export refuses before it writes, and that what it foretells is what it writes.
@Suite struct ExportCheckTests {
  private func shapes(_ text: String) throws -> CausalLM { try ModelRegistry.shapes(config: ModelConfig(parsing: text)) }

  private func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "accepted"
    } catch { return "\(error)" }
  }

  /// Shapes alone tell the bytes of the files.
  @Test func bytesAreForetold() throws {
    try Fixtures.withTemporaryFolder { target in
      let model = try ModelLoader.load(Fixtures.tinyLlama, adapter: Fixtures.tinyLlama + "/adapter")
      let bare = try ModelRegistry.shapes(config: model.config)
      try bare.add(try #require(model.lora))
      for format: ModelExport.Format in [
        .adapter, .adapterGGUF(.f32), .adapterGGUF(.f16), .merged(), .merged(.float32), .bnb4bit(), .dynamic4bit(),
        .gguf(.f16), .gguf(.q4_k_m), .gguf(.q2_k),
      ] {
        let path = "\(target)/\(format.fileName)"
        func export(_ network: CausalLM) -> ModelExport { ModelExport(network, base: Fixtures.tinyLlama, text: nil) }
        let wanted = try export(bare).check(format, to: path)
        try export(model).write(format, to: path)
        let files = format.isFile ? [path] : try FileManager.default.contentsOfDirectory(atPath: path).map { path + "/" + $0 }
        let size = try files.filter { $0.hasSuffix(".gguf") || $0.hasSuffix(".safetensors") }.reduce(0) {
          $0 + (try FileManager.default.attributesOfItem(atPath: $1)[.size] as? Int ?? 0)
        }
        // Headers of safetensors files are not counted.
        #expect(format.isFile ? size == wanted : abs(size - wanted) < 20_000, "\(format): \(wanted) foretold, \(size) written")
        #expect(try ModelExport.Format(format.name, type: format.type) == format)
      }
    }
  }

  @Test func targetsThatHoldOtherThings() throws {
    try Fixtures.withTemporaryFolder { target in
      let model = try ModelLoader.load(Fixtures.tinyLlama, adapter: Fixtures.tinyLlama + "/adapter")
      let export = ModelExport(model, base: Fixtures.tinyLlama, text: Fixtures.tinyLlama)
      try FileManager.default.createDirectory(atPath: target + "/folder", withIntermediateDirectories: true)
      try Data("notes".utf8).write(to: URL(filePath: target + "/folder/notes.txt"))
      try Data("notes".utf8).write(to: URL(filePath: target + "/file"))
      for (format, name, word) in [
        (ModelExport.Format.adapter, "folder", "holds other files"), (.merged(), "folder", "notes.txt"),
        (.bnb4bit(), "folder", "other files"),
        (.merged(), "file", "a folder is wanted, found a file"), (.gguf(.f16), "file", "another kind of file"),
        (.gguf(.f16), "folder", "found a folder"), (.adapterGGUF(), "folder", "found a folder"),
        (.gguf(.f16), "file/x/y.gguf", "no folder"),
        (.bnb4bit(), "file/x", "no folder"), (.ollama(), "new", "Ollama wants a tokenizer"),
      ] {
        let found = message { try export.write(format, to: "\(target)/\(name)") }
        #expect(found.contains(word), "\(format) to \(name): \(found)")
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: target).sorted() == ["file", "folder"])
      #expect(try String(contentsOfFile: target + "/file", encoding: .utf8) == "notes")
      // An earlier export gives way.
      for _ in 0..<2 { try export.write(.gguf(.q8_0), to: target + "/m.gguf") }
    }
  }

  /// What needs petabytes, has no form, or no adapter.
  @Test func whatCannotBeWritten() throws {
    try Fixtures.withTemporaryFolder { target in
      let huge = try shapes(
        """
        {"model_type": "llama", "vocab_size": 4000000, "hidden_size": 131072, "intermediate_size": 4000000, "num_hidden_layers": 1000,
        "num_attention_heads": 1024}
        """)
      for format: ModelExport.Format in [.merged(), .bnb4bit(), .gguf(.q4_k_m)] {
        let found = message { try ModelExport(huge, base: nil, text: nil).check(format, to: target + "/m") }
        #expect(found.contains("needs about") && found.contains("free"), "\(format): \(found)")
      }
      let odd = try shapes(TinyModels.text("gemma2"))
      #expect(message { try ModelExport(odd, base: nil, text: nil).check(.gguf(), to: target + "/m") }.contains("query_pre_attn_scalar"))
      let plain = try shapes(TinyModels.text("llama"))
      let none = message { try ModelExport(plain, base: nil, text: nil).check(.adapter, to: target + "/m") }
      #expect(none.contains("no adapter"), "\(none)")
      try plain.add(LoRA(rank: 2))
      let random = message { try ModelExport(plain, base: nil, text: nil).check(.adapterGGUF(), to: target + "/m") }
      #expect(random.contains("random weights"), "\(random)")
      #expect(throws: ExportFormatError.self) { try ModelExport.Format("gguf", type: "q9") }
      #expect(throws: ExportFormatError.self) { try ModelExport.Format("onnx") }
    }
  }
}
