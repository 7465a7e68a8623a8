import Foundation
import Swiftlet
import TestSupport

/// `swiftlet score`.
enum Scores {
  /// The answers and the logits of rows of ids.
  static func run(_ model: URL, _ rows: [[Int]], _ options: [String]) throws -> ([JSON], ReferenceTensors) {
    let folder = try TemporaryFolder()
    let input = try folder.rows("rows.jsonl", rows.map { .object(JSONObject([("input_ids", .array($0.map(JSON.int)))])) })
    let file = folder.url.appending(path: "logits.safetensors")
    let answers = try Command.rows(["score", model.path, "--input", input.path, "--logits", file.path, "--quiet"] + options)
    guard answers.count == rows.count else { throw Command.Failed(description: "\(answers.count) answers to \(rows.count) rows") }
    return (answers, try ReferenceTensors(file))
  }

  /// The mean cross entropy over the labels of a padded batch, from the log-probabilities of its rows.
  static func loss(_ answers: [JSON], labels file: ReferenceTensors, prefix: String) throws -> Float {
    let labels = try file.integers(prefix + "labels")
    let width = try file.shape(prefix + "labels").last ?? 1
    var (sum, count) = (0.0, 0)
    for (row, answer) in answers.enumerated() {
      for (place, value) in (answer["logprobs"]?.array ?? []).enumerated() where place > 0 && labels[row * width + place] != -100 {
        sum -= value.double ?? .nan
        count += 1
      }
    }
    return Float(sum / Double(count))
  }
}
