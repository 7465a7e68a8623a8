import Foundation
import SwiftletCheckpoints
import SwiftletExport
import SwiftletFormats
import SwiftletModels
import Testing

/// GGUF files written from models give the models' answers when they are read back.
@Suite struct GGUFExportTests {
  private func export(_ model: CausalLM, _ folder: String) -> ModelExport { ModelExport(model, base: folder, text: folder) }

  /// Every family of the fixtures, in float32: names, orders of rows, stacks of experts, norms and positions are right in both directions.
  @Test func familiesComeBack() throws {
    let folders = Fixtures.folders("models", with: "config.json") + [Fixtures.tinyLlama]
    try Fixtures.withTemporaryFolder { target in
      for folder in folders {
        let model = try ModelLoader.load(folder)
        let path = "\(target)/\((folder as NSString).lastPathComponent).gguf"
        do {
          let report = try export(model, folder).write(.gguf(.f32), to: path)
          #expect(report.comparison.largest < 1e-3 && report.largestTensorError == 0, "\(folder): \(report.comparison.largest)")
          #expect(report.comparison.agreement == 1 && report.json["format"]?.string == "gguf")
        } catch let error as ConfigError {
          // What llama.cpp would compute otherwise is refused by the field's name, and leaves no file.
          #expect(["query_pre_attn_scalar", "norm_topk_prob", "model_type"].contains(error.field), "\(folder): \(error)")
          #expect(!Fixtures.exists(path))
        }
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: target).allSatisfy { $0.hasSuffix(".gguf") })
    }
  }

  @Test func adaptersAreMerged() throws {
    try Fixtures.withTemporaryFolder { target in
      let model = try ModelLoader.load(Fixtures.tinyLlama, adapter: Fixtures.tinyLlama + "/adapter")
      let report = try export(model, Fixtures.tinyLlama).write(.gguf(.f32), to: target + "/m.gguf")
      #expect(report.changed == 6 && report.comparison.largest < 1e-4)
      let narrow = try export(model, Fixtures.tinyLlama).write(.gguf(.q8_0), to: target + "/n.gguf")
      #expect(narrow.largestTensorError > 0 && narrow.comparison.meanDivergence < 0.05)
    }
  }

  /// A Modelfile leaves out the token that begins a sequence only where the program puts it there itself: one that merely begins the chat
  /// template stays.
  @Test func modelfilesKeepWhatNobodyAdds() throws {
    try Fixtures.withTemporaryFolder { target in
      let (nestling, files) = (Fixtures.packageRoot + "/Nestling/model", FileManager.default)
      for (name, adds) in [("plain", nil as Bool?), ("named", false), ("added", true)] {
        let folder = target + "/" + name
        try files.copyItem(atPath: nestling, toPath: folder)
        if let adds {
          var config = try #require(try Fixtures.json(folder + "/tokenizer_config.json").object)
          config["bos_token"] = .string("<|user|>")
          try Data(JSON.object(config).serialized().utf8).write(to: URL(fileURLWithPath: folder + "/tokenizer_config.json"))
          var tokenizer = try #require(try Fixtures.json(folder + "/tokenizer.json").object)
          if adds, let id = tokenizer["added_tokens"]?.array?.first(where: { $0["content"]?.string == "<|user|>" })?["id"] {
            tokenizer["post_processor"] = try JSON(
              parsing: Data(
                #"""
                {"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<|user|>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
                "pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],
                "special_tokens":{"<|user|>":{"id":"<|user|>","ids":[\#(id.int ?? -1)],"tokens":["<|user|>"]}}}
                """#.utf8))
            try Data(JSON.object(tokenizer).serialized().utf8).write(to: URL(fileURLWithPath: folder + "/tokenizer.json"))
          }
        }
      }
      func modelfile(_ name: String) throws -> String {
        try ModelExport(try ModelLoader.load(target + "/" + name), base: target + "/" + name, text: target + "/" + name)
          .write(.ollama(.f16), to: "\(target)/\(name)-ollama")
        return String(decoding: files.contents(atPath: "\(target)/\(name)-ollama/Modelfile") ?? Data(), as: UTF8.self)
      }
      let plain = try modelfile("plain")
      #expect(plain.contains(#"if eq .Role "user" }}<|user|>{{ .Content }}<|end|>"#), "\(plain)")
      #expect(try modelfile("named") == plain)
      // What is added in front is not in the first turn, so that no form of this template is the same: an error, not a doubled token.
      #expect(throws: CheckpointError.self) { try modelfile("added") }
      #expect(try GGUFFile(target + "/named-ollama/model.gguf")["tokenizer.ggml.add_bos_token"]?.bool == false)
    }
  }

  /// The mixes of llama.cpp for a model of 32 layers with four heads for each key.
  @Test func mixes() {
    let model = GGUFExportType.Model(layers: 32, groups: 4, experts: 0, isTied: false)
    func type(_ mix: GGUFExportType, _ name: String, _ shape: [Int] = [4096, 4096]) -> GGUFType { mix.type(of: name, shape: shape, model) }
    let more = (0..<32).filter { type(.q4_k_m, "blk.\($0).ffn_down.weight") == .q6_K }
    #expect(more == [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31])
    #expect(more == (0..<32).filter { type(.q5_k_m, "blk.\($0).attn_v.weight") == .q6_K })
    #expect(type(.q4_k_m, "output.weight") == .q6_K && type(.q8_0, "output.weight") == .q8_0 && type(.f16, "output.weight") == .f16)
    #expect(type(.q4_k_m, "token_embd.weight") == .q4_K && type(.q4_k_m, "blk.4.ffn_down.weight") == .q4_K)
    #expect(type(.q2_k, "blk.5.attn_v.weight") == .q4_K && type(.q2_k, "blk.5.ffn_down.weight") == .q3_K)
    #expect(type(.q3_k_m, "blk.1.attn_v.weight") == .q5_K && type(.q3_k_m, "blk.5.attn_output.weight") == .q4_K)
    #expect(type(.q4_k_s, "blk.3.attn_v.weight") == .q5_K && type(.q4_k_s, "blk.4.attn_v.weight") == .q4_K)
    #expect(type(.q4_k_m, "blk.0.attn_norm.weight", [4096]) == .f32 && type(.q4_k_m, "blk.0.ffn_gate_inp.weight") == .f32)
    #expect(type(.q4_k_m, "blk.5.attn_q.weight", [64, 96]) == .q8_0 && type(.q4_k_m, "blk.5.attn_q.weight", [64, 20]) == .f16)
  }
}
