import Foundation
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore
import Testing

/// Configs and files changed at random: each gives a model that computes, or an error; a trap would end the test run.
@Suite struct DamagedModelTests {
  private func compute(_ model: CausalLM) {
    let context = ForwardContext(lengths: [5, 2])
    let ids = TinyModels.ids(7).map { $0 % Int32(model.vocabularySize) }
    _ = model.logits(hidden: model.hidden(ids: ids, context), context).array(Float.self)
  }

  /// Sizes and choices of the families with most of them, a few at a time.
  @Test func configsWithOtherNumbers() throws {
    let values: [JSON] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 33, 64, -1].map { .int($0) } + [.null, .bool(true), .bool(false), .number(0.5)]
    for family in ["deepseek_v3", "gpt_oss", "qwen3_moe", "llama"] {
      let whole = try #require(try JSON(parsing: TinyModels.text(family)).object)
      let keys =
        whole.keys.filter { $0 != "model_type" } + ["attention_bias", "n_shared_experts", "num_nextn_predict_layers", "rope_interleave"]
      var (made, refused) = (0, 0)
      for round in 0..<400 {
        let random = Random(seed: 31, stream: UInt64(round))
        var config = whole
        for change in 0..<1 + round % 3 {
          let (key, value) = (random.word(UInt64(2 * change)), random.word(UInt64(2 * change + 1)))
          config[keys[Int(key % UInt32(keys.count))]] = values[Int(value % UInt32(values.count))]
        }
        do {
          compute(try ModelRegistry.make(config: ModelConfig(config), source: .random(seed: 4)))
          made += 1
        } catch is ConfigError {
          refused += 1
        }
      }
      #expect(made > 40 && refused > 40, "\(family): \(made) made, \(refused) refused")
    }
  }

  /// Single bytes of a file's header, so that names, formats, shapes and places change.
  @Test func filesWithOtherHeaders() throws {
    for name in ["tiny_gpt_oss", "tiny_deepseek_v3"] {
      try Fixtures.withTemporaryFolder { folder in
        let source = Fixtures.own + "/models/" + name
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: source + "/model.safetensors")))
        try FileManager.default.copyItem(atPath: source + "/config.json", toPath: folder + "/config.json")
        let header = bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        var (made, refused) = (0, 0)
        for round in 0..<300 {
          let random = Random(seed: 32, stream: UInt64(round))
          var changed = bytes
          changed[8 + Int(random.word(0)) % header] = Array("0123456789,[]\"BFIU".utf8)[Int(random.word(1)) % 18]
          try Data(changed).write(to: URL(fileURLWithPath: folder + "/model.safetensors"))
          do {
            compute(try ModelLoader.load(folder))
            made += 1
          } catch {
            refused += 1
          }
        }
        #expect(refused > 200, "\(name): \(made) made, \(refused) refused")
      }
    }
  }
}
