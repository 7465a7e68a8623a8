import Foundation
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletModels
import Testing

/// Which modules get which rank and alpha: equal to what peft 0.21.2 chose (`Tests/Fixtures/peft_matching.json`, made with it).
@Suite struct LoRAMatchingTests {
  @Test func everyCaseMatchesPEFT() throws {
    let cases = try #require(try Fixtures.json(Fixtures.own + "/peft_matching.json").array)
    #expect(cases.count >= 40)
    for (index, each) in cases.enumerated() {
      let family = try #require(each["model"]?.string)
      let config = ModelConfig(try JSON(parsing: Self.config(family)).object ?? JSONObject())
      let model = try ModelRegistry.shapes(config: config)
      var object = try #require(each["config"]?.object)
      object["r"] = .int(8)
      object["lora_alpha"] = .int(16)
      let lora = try AdapterConfig(object).lora
      if each["error"] != nil {
        #expect(throws: LoRAError.self, "case \(index)") { try model.add(lora) }
        continue
      }
      try model.add(lora)
      try compare(model, each, index)
    }
  }

  private func compare(_ model: CausalLM, _ wanted: JSON, _ index: Int) throws {
    let modules = try #require(wanted["modules"]?.object)
    var found: [String: [Double]] = [:]
    for module in model.modules {
      if let adapter = module.adapter { found[module.path] = [Double(adapter.rank), adapter.alpha] }
    }
    let expected = Dictionary(modules.map { ($0.key, $0.value.array?.compactMap(\.double) ?? []) }) { first, _ in first }
    #expect(found == expected, "case \(index): \(wanted["config"]?.serialized() ?? "")")
    #expect(model.savedModules.sorted() == wanted["saved"]?.array?.compactMap(\.string), "case \(index)")
  }

  private static func config(_ family: String) -> String {
    """
    {"model_type": "\(family)", "vocab_size": 11, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 3,
     "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64}
    """
  }

  @Test func senselessNumbersAreRefused() throws {
    let cases: [(LoRA, String)] = [
      (LoRA(rank: 0), "rank"), (LoRA(rank: -3), "rank"), (LoRA(rank: 1 << 40), "rank"), (LoRA(rank: 4, alpha: .nan), "alpha"),
      (LoRA(rank: 4, alpha: .infinity), "alpha"), (LoRA(rank: 4, dropout: 1), "dropout"), (LoRA(rank: 4, dropout: -0.1), "dropout"),
      (LoRA(rank: 4, targets: .names([])), "targets"), (LoRA(rank: 4, targets: .names(["nothing"])), "q_proj"),
      (LoRA(rank: 4, targets: .pattern("(")), "regular expression"), (LoRA(rank: 4, targets: .pattern("q_proj")), "targets"),
    ]
    var (both, alone) = (LoRA(rank: 4, targets: .pattern(".*q_proj")), LoRA(rank: 4))
    (both.layers, alone.layersPattern) = ([1], ["layers"])
    for (lora, word) in cases + [(both, "layers"), (alone, "layersPattern")] {
      let model = try ModelRegistry.shapes(config: ModelConfig(parsing: TinyModels.text("llama")))
      let error = #expect(throws: LoRAError.self) { try model.add(lora) }
      #expect(error?.description.contains(word) == true, "\(String(describing: error)) should name \(word)")
    }
  }

  @Test func recipesEncodeAndDecode() throws {
    var lora = LoRA(rank: 8, alpha: 4.5, dropout: 0.1, targets: .pattern(".*q_proj"))
    lora.rankPattern = ["q_proj": 2]
    lora.layers = [0, 2]
    lora.modulesToSave = ["lm_head"]
    for targets in [LoRA.Targets.allLinear, .names(["a", "b"]), .pattern("x.*")] {
      lora.targets = targets
      #expect(try JSONDecoder().decode(LoRA.self, from: try JSONEncoder().encode(lora)) == lora)
    }
  }
}
