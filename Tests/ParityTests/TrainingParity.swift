import Foundation
import Swiftlet
import TestSupport

/// The ten-step LoRA run of a model folder through `swiftlet train` on layout `tokens`.
struct TrainingParity {
  let model: ModelsParity
  let work: TemporaryFolder

  init(_ model: ModelsParity) throws {
    self.model = model
    work = try TemporaryFolder()
  }

  func run() throws -> String? {
    guard let adapter = model.adapter else { return "has a training run but no adapter" }
    let recipe = try recipe(adapter)
    let result = try Command.run(["train", recipe.path, "--quiet"])
    guard result.code == 0 else { return "train ended with \(result.code): \(result.error.suffix(400))".replacing("\n", with: " | ") }
    return try metrics() ?? weights() ?? loss()
  }

  private var output: URL { work.url.appending(path: "run") }

  private func recipe(_ adapter: URL) throws -> URL {
    let rows = try model.rows("train.")
    let labels = try model.numbers.integers("train.labels")
    let width = try model.numbers.shape("train.labels").last ?? 1
    let data = try work.rows(
      "data.jsonl",
      rows.enumerated().map { index, ids in
        let labels = labels[index * width..<index * width + ids.count]
        return .object(JSONObject([("input_ids", .array(ids.map(JSON.int))), ("labels", .array(labels.map(JSON.int)))]))
      })
    let steps = model.facts["train"]?["loss"]?.array?.count ?? 0
    let batch = steps > 0 ? rows.count / steps : 0
    let text = """
      model: {source: \(model.model.path)}
      adapter: {start: \(adapter.path)}
      data: {path: \(data.path), layout: tokens, shuffle: false, holdOut: 0}
      method: {sft: {packing: false}}
      optimizer: {adamW: {learningRate: 1.0e-3, weightDecay: 0.01}}
      schedule: {linear: {warmup: 2}}
      plan: {steps: \(steps), batchSize: \(batch), accumulation: 1, seed: 1, maxGradNorm: 1.0}
      output: \(output.path)
      """
    let file = work.url.appending(path: "recipe.yaml")
    try Data(text.utf8).write(to: file)
    return file
  }

  private func metrics() throws -> String? {
    let text = String(decoding: try Data(contentsOf: output.appending(path: "metrics.jsonl")), as: UTF8.self)
    let steps = try text.split(separator: "\n").map { try JSON(parsing: String($0)) }.filter { $0["loss"] != nil }
    func compare(_ key: String, _ wanted: String, absolute: Float, relative: Float = 0) -> String? {
      let found = steps.map { Float($0[key]?.double ?? .nan) }
      let reason = difference(found, model.facts["train"]?[wanted]?.flatFloats ?? [], absolute: absolute, relative: relative)
      return reason.map { "\(key) \($0)" }
    }
    return compare("loss", "loss", absolute: 5e-5) ?? compare("grad_norm", "grad_norm", absolute: 0, relative: 1e-4)
      ?? compare("learning_rate", "lr", absolute: 1e-9)
  }

  private func weights() throws -> String? {
    let wanted = try ReferenceTensors(model.folder.appending(path: "lora_after_10_steps.safetensors"))
    let found = try ReferenceTensors(output.appending(path: "final/adapter_model.safetensors"))
    for name in wanted.names {
      guard found.has(name) else { return "final adapter lacks \(name)" }
      if let reason = difference(try found.floats(name), try wanted.floats(name), absolute: 2e-5) {
        return "after training, \(name) \(reason)"
      }
    }
    let extra = found.names.filter { !wanted.has($0) }
    return extra.isEmpty ? nil : "the final adapter has \(extra.prefix(3)) too many"
  }

  /// The run folder as a MODEL: its loss on the padded rows.
  private func loss() throws -> String? {
    guard let wanted = model.facts["train"]?["eval_loss_after"]?.flatFloats.last else { return nil }
    let (answers, _) = try Scores.run(output, try model.rows("padded."), [])
    let found = try Scores.loss(answers, labels: model.numbers, prefix: "padded.")
    return difference([found], [wanted], absolute: 5e-5).map { "loss of the run folder \($0)" }
  }
}
