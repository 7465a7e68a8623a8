import Foundation
import Swiftlet
import SwiftletModels
import TestSupport

/// A folder with a random Llama of two layers and the tokenizer and template of Nestling.
final class TinyModel {
  let work: TemporaryFolder
  var path: String { work.url.appending(path: "model").path }

  init(tokenizer: Bool = true) throws {
    work = try TemporaryFolder()
    let config = JSONObject([
      ("model_type", .string("llama")), ("vocab_size", .int(1024)), ("hidden_size", .int(16)), ("intermediate_size", .int(24)),
      ("num_hidden_layers", .int(2)), ("num_attention_heads", .int(2)), ("num_key_value_heads", .int(1)),
      ("max_position_embeddings", .int(256)), ("initializer_range", .number(0.2)), ("tie_word_embeddings", .bool(false)),
    ])
    let model = try ModelRegistry.make(config: ModelConfig(config), source: .random(seed: 11))
    try ModelFile.save(model, to: path)
    guard tokenizer else { return }
    let nestling = Fixtures.projectRoot.appending(path: "Nestling/model")
    for name in ["tokenizer.json", "tokenizer_config.json"] {
      try FileManager.default.copyItem(at: nestling.appending(path: name), to: URL(filePath: path).appending(path: name))
    }
  }

  /// Rows of ids for training, in a file.
  func tokenRows(_ count: Int) throws -> URL {
    try work.rows(
      "tokens.jsonl",
      (0..<count).map { row in
        let ids = (0..<12).map { JSON.int(($0 * 31 + row * 7) % 500) }
        return .object(JSONObject([("input_ids", .array(ids)), ("labels", .array(ids))]))
      })
  }

  /// A recipe file for LoRA training on those rows.
  func recipe(steps: Int, rows: Int = 8, output: String = "run", extra: String = "") throws -> URL {
    let text = """
      model: {source: \(path)}
      adapter: {lora: {rank: 2, alpha: 4}}
      data: {path: \(try tokenRows(rows).path), layout: tokens, shuffle: true}
      method: {sft: {packing: false}}
      optimizer: {adamW: {learningRate: 1.0e-2}}
      plan: {steps: \(steps), batchSize: 2, accumulation: 1, seed: 5}
      \(extra)
      output: \(work.url.appending(path: output).path)
      """
    let file = work.url.appending(path: "\(output).yaml")
    try Data(text.utf8).write(to: file)
    return file
  }
}
