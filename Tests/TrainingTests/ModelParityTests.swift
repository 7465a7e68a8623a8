import Foundation
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletTracking
import SwiftletTrainers
import TestSupport
import Testing

/// Ten training steps of every fixture model through a recipe, as a user would run them, against PyTorch and PEFT.
extension TrainingTests {
  @Suite(.serialized) struct ModelParityTests {
    @Test func tenSteps() throws {
      let models = Fixtures.folders(in: Fixtures.root.appending(path: "models"))
      guard !models.isEmpty else { return print("skipped: no models under \(Fixtures.root.path)") }
      var failures: [String] = []
      for model in models {
        do { failures += try check(model).map { "\(model.lastPathComponent): \($0)" } } catch {
          failures.append("\(model.lastPathComponent): \(error)")
        }
      }
      print("training parity: \(models.count) models, \(failures.count) differences")
      for failure in failures { Issue.record("\(failure)") }
    }

    private func check(_ model: URL) throws -> [String] {
      let temporary = try TemporaryFolder()
      let parity = try ReferenceTensors(model.appending(path: "parity.safetensors"))
      let expected = try #require(Fixtures.json(model.appending(path: "parity.json"))["train"])
      _ = try temporary.rows("train.jsonl", rows(parity, "train"))
      _ = try temporary.rows("eval.jsonl", rows(parity, "padded"))
      let output = temporary.url.appending(path: "run")
      let recipe = try Recipe(
        text: """
          model: {source: "\(model.path)"}
          adapter: {start: "\(model.path)/adapter"}
          data: {path: "\(temporary.url.path)/train.jsonl", layout: tokens, shuffle: false, evaluation: "\(temporary.url.path)/eval.jsonl"}
          optimizer: {adamW: {learningRate: 1e-3, weightDecay: 0.01}}
          schedule: {linear: {warmup: 2}}
          plan: {steps: 10, batchSize: 2, accumulation: 1, maxGradNorm: 1.0}
          evaluation: {every: 1}
          output: "\(output.path)"
          """)
      try TrainingSession(recipe, .init()).train()
      let lines = try String(contentsOf: output.appending(path: "metrics.jsonl"), encoding: .utf8).split(separator: "\n").map {
        try JSON(parsing: String($0))
      }
      func series(_ key: String) -> [Float] { lines.compactMap { $0[key]?.double.map(Float.init) } }
      var failures: [String] = []
      func compare(_ name: String, _ difference: String?) { if let difference { failures.append("\(name) \(difference)") } }
      compare("loss", difference(series("loss"), expected["loss"]?.flatFloats ?? [], absolute: 5e-5))
      compare("grad_norm", difference(series("grad_norm"), expected["grad_norm"]?.flatFloats ?? [], absolute: 0, relative: 1e-4))
      compare("learning_rate", difference(series("learning_rate"), expected["lr"]?.flatFloats ?? [], absolute: 1e-10))
      compare("eval_loss", difference(series("eval_loss"), expected["eval_loss_after"]?.flatFloats ?? [], absolute: 5e-5))
      let after = try ReferenceTensors(model.appending(path: "lora_after_10_steps.safetensors"))
      let found = try ReferenceTensors(output.appending(path: "final/adapter_model.safetensors"))
      for name in after.names {
        guard found.has(name) else {
          failures.append("\(name) is not in the adapter")
          continue
        }
        compare(name, difference(try found.floats(name), try after.floats(name), absolute: 2e-5))
      }
      return failures
    }

    /// Right-padded batches as rows without padding.
    private func rows(_ file: ReferenceTensors, _ name: String) throws -> [JSON] {
      let (ids, mask, labels) = try (
        file.integers("\(name).input_ids"), file.integers("\(name).attention_mask"), file.integers("\(name).labels")
      )
      let width = try #require(file.shape("\(name).input_ids").last)
      return stride(from: 0, to: ids.count, by: width).map { start in
        let range = start..<start + mask[start..<start + width].reduce(0, +)
        return .object(
          JSONObject([("input_ids", .array(ids[range].map { .int($0) })), ("labels", .array(labels[range].map { .int($0) }))]))
      }
    }
  }
}
