import Foundation
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore
import Testing

/// What is saved is read back equal; what does not fit is refused by one error that lists it.
@Suite struct CheckpointTests {
  private func logits(_ model: CausalLM) -> [Float] {
    let context = ForwardContext(lengths: [13])
    return model.logits(hidden: model.hidden(ids: TinyModels.ids(13), context), context).array()
  }

  private func largest(_ a: [Float], _ b: [Float]) -> Float { a.count == b.count ? zip(a, b).map { abs($0 - $1) }.max() ?? 0 : .infinity }

  @Test func modelsOfAllFamiliesComeBackEqual() throws {
    for family in TinyModels.configs.keys.sorted() {
      try Fixtures.withTemporaryFolder { folder in
        let model = try TinyModels.make(family)
        let report = try ModelFile.save(model, to: folder + "/out")
        #expect(report.tensors > 10 && report.changed == 0)
        let loaded = try ModelLoader.load(folder + "/out")
        #expect(logits(model) == logits(loaded), "\(family)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["out"])
      }
    }
  }

  @Test func shardsAreAtMostAsLargeAsAsked() throws {
    try Fixtures.withTemporaryFolder { folder in
      var options = ModelFile.Options(format: .bfloat16, source: Fixtures.tinyLlama)
      options.shardBytes = 8000
      let model = try ModelLoader.load(Fixtures.tinyLlama)
      try ModelFile.save(model, to: folder + "/out", options)
      let files = try FileManager.default.contentsOfDirectory(atPath: folder + "/out").filter { $0.hasSuffix(".safetensors") }
      #expect(files.count > 2)
      for file in files {
        let size = try FileManager.default.attributesOfItem(atPath: folder + "/out/" + file)[.size] as? Int ?? 0
        #expect(size < 8000 + 2000)
      }
      #expect(logits(model) == logits(try ModelLoader.load(folder + "/out")))
      let (copied, original) = (folder + "/out/generation_config.json", Fixtures.tinyLlama + "/generation_config.json")
      #expect(FileManager.default.contentsEqual(atPath: copied, andPath: original))
      let config = try Fixtures.json(folder + "/out/config.json")
      #expect(config["torch_dtype"]?.string == "bfloat16" && config["hidden_size"]?.int == 24)
    }
  }

  @Test func weightsConvertOnLoading() throws {
    for format in WeightFormat.allCases {
      let model = try ModelLoader.load(Fixtures.tinyLlama, as: WeightPrecision(rawValue: format.rawValue) ?? .stored)
      #expect(model.parameters.allSatisfy { $0.dtype == format.dtype })
    }
    let (stored, wide) = (try ModelLoader.load(Fixtures.tinyLlama), try ModelLoader.load(Fixtures.tinyLlama, as: .float32))
    #expect(logits(stored) == logits(wide))
    #expect(stored.parameters.allSatisfy { $0.dtype == .bfloat16 })
  }

  @Test func halfPrecisionFilesComputeInFloat32() throws {
    for family in TinyModels.configs.keys.sorted() {
      for format in [WeightFormat.float16, .bfloat16] {
        try Fixtures.withTemporaryFolder { folder in
          try ModelFile.save(try TinyModels.make(family), to: folder + "/out", .init(format: format))
          let (stored, wide) = (try ModelLoader.load(folder + "/out"), try ModelLoader.load(folder + "/out", as: .float32))
          #expect(stored.parameters.allSatisfy { $0.dtype == format.dtype })
          #expect(largest(logits(stored), logits(wide)) < 1e-5, "\(family) \(format)")
          #expect(largest(logits(stored), logits(try TinyModels.make(family))) > 0)
        }
      }
    }
  }

  private static let variants: [(String, LoRA)] = {
    var rs = LoRA(rank: 3, alpha: 5)
    rs.useRSLoRA = true
    var dora = LoRA(rank: 2, alpha: 4)
    dora.useDoRA = true
    var patterns = LoRA(rank: 4, alpha: 4, targets: .names(["q_proj", "up_proj", "gate_up_proj", "qkv_proj", "w1"]))
    (patterns.rankPattern, patterns.alphaPattern) = (["layers.1.self_attn.q_proj": 7], ["up_proj": 1.5])
    patterns.layers = [0, 1]
    let both = LoRA(rank: 3, alpha: 6, targets: .names(["embed_tokens", "lm_head", "o_proj"]))
    var saved = LoRA(rank: 3, alpha: 6, targets: .pattern(".*o_proj"))
    saved.modulesToSave = ["lm_head", "embed_tokens"]
    return [
      ("plain", LoRA(rank: 3, alpha: 6)), ("rslora", rs), ("dora", dora), ("patterns", patterns), ("embeddings", both), ("saved", saved),
    ]
  }()

  @Test func adaptersComeBackEqual() throws {
    for family in TinyModels.configs.keys.sorted() {
      for (name, lora) in Self.variants {
        try Fixtures.withTemporaryFolder { folder in
          let model = try TinyModels.adapted(family, lora)
          try AdapterFile.save(model, to: folder, baseModel: "base")
          let loaded = try TinyModels.make(family)
          try AdapterFile.load(folder, into: loaded)
          #expect(logits(model) == logits(loaded), "\(family) \(name)")
          #expect(loaded.trainableParameters.map(\.name) == model.trainableParameters.map(\.name), "\(family) \(name)")
          #expect(try AdapterFile.config(folder).baseModel == "base")
        }
      }
    }
  }

  @Test func mergedModelsAnswerAsTheAdapterDid() throws {
    for family in TinyModels.configs.keys.sorted() {
      for (name, lora) in Self.variants {
        try Fixtures.withTemporaryFolder { folder in
          let model = try TinyModels.adapted(family, lora)
          let report = try ModelFile.save(model, to: folder + "/merged")
          #expect(report.changed > 0 && report.largestRounding == 0)
          let merged = try ModelLoader.load(folder + "/merged")
          #expect(largest(logits(model), logits(merged)) < 5e-4, "\(family) \(name)")
          #expect(merged.decoder.isTied == (model.decoder.isTied && !["embeddings", "saved"].contains(name)), "\(family) \(name)")
        }
      }
    }
  }

  @Test func mergingRoundsToTheStoredFormat() throws {
    try Fixtures.withTemporaryFolder { folder in
      let model = try ModelLoader.load(Fixtures.tinyLlama, adapter: Fixtures.tinyLlama + "/adapter")
      let report = try ModelFile.save(model, to: folder + "/merged")
      #expect(report.changed == 6 && report.largestRounding > 0 && report.largestRounding < 0.01)
      let merged = try ModelLoader.load(folder + "/merged")
      #expect(merged.parameters.allSatisfy { $0.dtype == .bfloat16 })
      #expect(largest(logits(model), logits(merged)) < 0.5)
    }
  }

  @Test func aMergeThatChangesNothingIsRefused() throws {
    try Fixtures.withTemporaryFolder { folder in
      let model = try TinyModels.make("llama")
      try model.add(LoRA(rank: 2, alpha: 4))
      let error = #expect(throws: CheckpointError.self) { try ModelFile.save(model, to: folder + "/merged") }
      #expect(error?.description.contains("changes no weight") == true)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    }
  }

  @Test func infinitiesAreNotWritten() throws {
    try Fixtures.withTemporaryFolder { folder in
      let model = try TinyModels.adapted("llama", LoRA(rank: 2, alpha: 4))
      let parameter = try #require(model.adapterParameters.first)
      parameter.update { $0.floats[3] = .nan }
      #expect(throws: CheckpointError.self) { try ModelFile.save(model, to: folder + "/merged") }
      #expect(throws: CheckpointError.self) { try AdapterFile.save(model, to: folder + "/adapter", baseModel: nil) }
      parameter.update { $0.floats[3] = 3e38 }
      #expect(throws: CheckpointError.self) { try ModelFile.save(model, to: folder + "/merged", .init(format: .float16)) }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0 != "adapter" }.isEmpty)
      #expect(!Fixtures.exists(folder + "/adapter/adapter_model.safetensors"))
    }
  }

  @Test func foldersWithOtherFilesAreNotReplaced() throws {
    try Fixtures.withTemporaryFolder { folder in
      try Data("mine".utf8).write(to: URL(fileURLWithPath: folder + "/notes.txt"))
      #expect(throws: CheckpointError.self) { try ModelFile.save(try TinyModels.make("llama"), to: folder) }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["notes.txt"])
    }
  }

  @Test func tensorsThatDoNotFitAreListed() throws {
    try Fixtures.withTemporaryFolder { folder in
      try ModelFile.save(try TinyModels.make("llama"), to: folder + "/m")
      func refused(_ change: (inout JSONObject) -> Void) throws -> String {
        var config = try #require(try Fixtures.json(folder + "/m/config.json").object)
        change(&config)
        try Data(JSON.object(config).serialized().utf8).write(to: URL(fileURLWithPath: folder + "/m/changed.json"))
        let error = #expect(throws: CheckpointError.self) { try CheckpointReader(folder + "/m", configName: "changed.json").model() }
        return error?.description ?? ""
      }
      let missing = try refused { $0["num_hidden_layers"] = .int(4) }
      #expect(missing.contains("9 tensors missing") && missing.contains("model.layers.3.mlp.up_proj.weight"))
      let unexpected = try refused { $0["num_hidden_layers"] = .int(2) }
      #expect(unexpected.contains("9 tensors unexpected") && unexpected.contains("model.layers.2.input_layernorm.weight"))
      let mismatched = try refused { $0["intermediate_size"] = .int(47) }
      #expect(mismatched.contains("9 tensors of another shape") && mismatched.contains("(wanted [47, 32], found [48, 32])"))
    }
  }

  @Test func adaptersThatDoNotFitAreListed() throws {
    try Fixtures.withTemporaryFolder { folder in
      let model = try TinyModels.adapted("llama", LoRA(rank: 2, alpha: 4, targets: .names(["q_proj"])))
      try AdapterFile.save(model, to: folder, baseModel: nil)
      func refused(_ key: String, _ value: String) throws -> String {
        var config = try #require(try Fixtures.json(folder + "/adapter_config.json").object)
        let before = config
        config[key] = try JSON(parsing: value)
        let path = URL(fileURLWithPath: folder + "/adapter_config.json")
        try Data(JSON.object(config).serialized().utf8).write(to: path)
        defer { try? Data(JSON.object(before).serialized().utf8).write(to: path) }
        let error = #expect(throws: (any Error).self, "\(key) = \(value)") {
          try AdapterFile.load(folder, into: try TinyModels.make("llama"))
        }
        return error.map { "\($0)" } ?? ""
      }
      #expect(try refused("r", "3").contains("6 tensors of another shape"))
      #expect(try refused("target_modules", #"["q_proj","v_proj"]"#).contains("6 tensors missing"))
      #expect(try refused("target_modules", #"["v_proj"]"#).contains("6 tensors unexpected"))
      for (key, value) in [
        ("r", "0"), ("r", "null"), ("r", "\"8\""), ("lora_alpha", "\"x\""), ("lora_dropout", "1"), ("peft_type", "\"IA3\""),
        ("bias", "\"all\""),
        ("trainable_token_indices", "[1]"), ("fan_in_fan_out", "true"), ("lora_bias", "true"),
        ("rank_pattern", "[]"), ("rank_pattern.q", "1"), ("use_dora", "1"), ("layers_to_transform", "[-1]"), ("target_modules", "[1]"),
        ("layer_replication", "[[0,1]]"), ("use_qalora", "true"),
      ] where !key.contains(".") {
        #expect(try refused(key, value).contains(key), "\(key) = \(value)")
      }
    }
  }

  @Test func foldersWithoutAModelAreRefused() throws {
    try Fixtures.withTemporaryFolder { folder in
      for path in [folder, folder + "/nothing", folder + "/x.json"] {
        #expect(throws: CheckpointError.self) { try ModelLoader.load(path) }
      }
      try FileManager.default.copyItem(atPath: Fixtures.tinyLlama + "/config.json", toPath: folder + "/config.json")
      let error = #expect(throws: CheckpointError.self) { try ModelLoader.load(folder) }
      #expect(error?.description.contains("model.safetensors") == true)
      #expect(throws: CheckpointError.self) { try ModelLoader.load(Fixtures.tinyLlama, adapter: folder) }
    }
  }
}
