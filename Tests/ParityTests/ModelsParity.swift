import Foundation
import Swiftlet
import TestSupport

/// One model folder: `score`, `generate` and `train` through the command, gradients through the library.
struct ModelsParity {
  let name: String
  let folder: URL
  let numbers: ReferenceTensors
  let facts: JSON
  let tally: Tally

  static func run(_ root: URL, _ tally: Tally) throws {
    for folder in Fixtures.folders(in: root) {
      do {
        let links = try TemporaryFolder()
        try ModelsParity(folder, model: folder, label: "", tally).all()
        if Fixtures.exists(folder.appending(path: "config_v5.json")) {
          let model = try links.links("model", to: folder, replacing: ["config.json": "config_v5.json"])
          try ModelsParity(folder, model: model, label: " config_v5", tally).scores()
        }
      } catch {
        tally.fail(folder.lastPathComponent, oneLine(error))
      }
    }
  }

  /// Where the command finds the model; `folder` holds the expected numbers and the adapter.
  let model: URL

  init(_ folder: URL, model: URL, label: String, _ tally: Tally) throws {
    self.folder = folder
    self.model = model
    self.tally = tally
    name = folder.lastPathComponent + label
    numbers = try ReferenceTensors(folder.appending(path: "parity.safetensors"))
    facts = try Fixtures.json(folder.appending(path: "parity.json"))
  }

  var adapter: URL? {
    let url = folder.appending(path: "adapter")
    return Fixtures.exists(url) ? url : nil
  }

  func all() throws {
    scores()
    generations("generate", [])
    if let adapter { generations("generate_lora", ["--adapter", adapter.path]) }
    if facts["train"] != nil { training() }
    GradientParity(self).run()
  }

  func scores() {
    score("", [])
    if let adapter { score("lora.", ["--adapter", adapter.path]) }
  }

  /// The rows of a padded batch without their padding.
  func rows(_ prefix: String) throws -> [[Int]] {
    let ids = try numbers.integers(prefix + "input_ids")
    let mask = numbers.has(prefix + "attention_mask") ? try numbers.integers(prefix + "attention_mask") : nil
    let width = try numbers.shape(prefix + "input_ids").last ?? 1
    return stride(from: 0, to: ids.count, by: max(1, width)).map { start in
      let length = mask.map { $0[start..<start + width].reduce(0, +) } ?? width
      return Array(ids[start..<start + length])
    }
  }

  /// `score --logits` on the full and the padded rows.
  private func score(_ prefix: String, _ options: [String]) {
    guard numbers.has(prefix + "full.logits") else { return }
    do {
      let (full, padded) = (try rows("full."), try rows("padded."))
      let (answers, logits) = try Scores.run(model, full + padded, options)
      tally.check("\(name) \(prefix)full.logits") {
        difference(try logits.floats("logits.0"), try numbers.floats(prefix + "full.logits"), absolute: 2e-4)
      }
      if numbers.has(prefix + "padded.logits") {
        let wanted = try numbers.floats(prefix + "padded.logits")
        let width = wanted.count / padded.count
        for (index, _) in padded.enumerated() {
          tally.check("\(name) \(prefix)padded.logits \(index)") {
            let found = try logits.floats("logits.\(index + full.count)")
            return difference(found, Array(wanted[index * width..<index * width + found.count]), absolute: 2e-4)
          }
        }
      }
      if prefix.isEmpty { try tokenLogProbabilities(Array(answers.dropFirst(full.count)), padded) }
      tally.check("\(name) \(prefix)padded.loss") {
        difference(
          [try Scores.loss(Array(answers.dropFirst(full.count)), labels: numbers, prefix: "padded.")],
          try numbers.floats(prefix + "padded.loss"), absolute: 2e-5)
      }
    } catch {
      tally.fail("\(name) \(prefix)score", oneLine(error))
    }
  }

  private func tokenLogProbabilities(_ answers: [JSON], _ padded: [[Int]]) throws {
    let wanted = try numbers.floats("padded.token_logprobs")
    let width = try numbers.shape("padded.token_logprobs").last ?? 1
    for (index, answer) in answers.enumerated() {
      tally.check("\(name) token_logprobs \(index)") {
        let found = (answer["logprobs"]?.array ?? []).dropFirst().map { Float($0.double ?? .nan) }
        let count = padded[index].count - 1
        return difference(Array(found), Array(wanted[index * width..<index * width + count]), absolute: 1e-4)
      }
    }
  }

  /// Greedy generation of all prompts in one run of the command.
  private func generations(_ key: String, _ options: [String]) {
    let cases = facts[key]?.array ?? []
    guard !cases.isEmpty else { return }
    do {
      let folder = try TemporaryFolder()
      let input = try folder.rows("rows.jsonl", cases.map { .object(JSONObject([("input_ids", $0["prompt"] ?? .null)])) })
      let length = cases.compactMap { $0["output"]?.array?.count }.max() ?? 0
      let answers = try Command.rows(
        ["generate", model.path, "--input", input.path, "--max-tokens", "\(length)", "--temperature", "0", "--json", "--quiet"] + options)
      for (index, entry) in cases.enumerated() {
        tally.check("\(name) \(key) \(index)") {
          guard index < answers.count else { return "no answer" }
          return difference(answers[index]["tokens"]?.ids ?? [], entry["output"]?.ids ?? [])
        }
      }
    } catch {
      tally.fail("\(name) \(key)", oneLine(error))
    }
  }

  private func training() {
    tally.check("\(name) train") { try TrainingParity(self).run() }
  }
}
