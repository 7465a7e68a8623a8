import Foundation
import SwiftletDatasets
import SwiftletFormats
import SwiftletTokenizers
import TestSupport

/// From conversation to training rows: rendered text, ids, what is trained on, and packing.
enum PipelineParity {
  static func run(_ root: URL, _ tally: Tally) throws {
    for name in Fixtures.names(in: root) where name.hasSuffix(".json") {
      let file = try Fixtures.json(root.appending(path: name))
      let inputs = try Fixtures.json(Fixtures.root.appending(path: "chat_templates/inputs.json"))
      for (index, entry) in (file["chat"]?.array ?? []).enumerated() {
        tally.check("\(name) chat \(index)") { try chat(entry, inputs) }
      }
      if let packing = file["packing"] { try Self.packing(packing, name, tally) }
    }
  }

  private static func chat(_ entry: JSON, _ inputs: JSON) throws -> String? {
    let (tokenizer, template) = (entry["tokenizer"]?.string ?? "", entry["template"]?.string ?? "")
    let folder = Fixtures.root.appending(path: "tokenizers/\(tokenizer)")
    let source = Fixtures.root.appending(path: "chat_templates/templates/\(template).jinja")
    let renderer = try RowRenderer(
      tokenizer: try Tokenizer.load(folder: folder), template: String(decoding: try Data(contentsOf: source), as: UTF8.self),
      contextLength: 1 << 20)
    let messages = inputs["conversations"]?[entry["conversation"]?.string ?? ""]?.array ?? []
    let example = Example.conversation(Conversation(messages: messages))
    if let reason = difference(try renderer.text(of: example)?.text ?? "", entry["text"]?.string ?? "") { return "text \(reason)" }
    let row = try renderer.tokenize(example)
    if let reason = difference(row.ids.map(Int.init), entry["input_ids"]?.ids ?? []) { return "ids \(reason)" }
    let mask = row.labels.map { $0 == TokenizedRow.ignored ? 0 : 1 }
    if let reason = difference(mask, entry["assistant_mask"]?.ids ?? []) { return "mask \(reason)" }
    return difference(row.labels.map(Int.init), entry["labels"]?.ids ?? []).map { "labels \($0)" }
  }

  private static func packing(_ packing: JSON, _ name: String, _ tally: Tally) throws {
    let rows = (packing["sequences"]?.array ?? []).map { $0.ids ?? [] }
    let capacity = packing["seq_length"]?.int ?? 1
    for (strategy, wanted) in packing["expected"]?.object ?? JSONObject() {
      tally.check("\(name) packing \(strategy)") {
        guard let packing = Packing(rawValue: strategy) else { return "an unknown strategy" }
        let packs = packing.packs(lengths: rows.map(\.count), capacity: capacity)
        func values(_ value: (_ row: Int, _ place: Int) -> Int) -> [[Int]] {
          packs.map { pack in pack.flatMap { segment in segment.range.map { value(segment.row, $0) } } }
        }
        func lists(_ key: String) -> [[Int]]? { wanted[key]?.array?.map { $0.ids ?? [] } }
        let ids = values { rows[$0][$1] }
        let labels = values { $1 % 3 == 0 ? -100 : rows[$0][$1] }
        if ids != lists("input_ids") { return "input_ids are \(ids)" }
        if let expected = lists("labels"), labels != expected { return "labels are \(labels)" }
        if let lengths = lists("seq_lengths"), packs.map({ $0.map(\.range.count) }) != lengths { return "other lengths" }
        return nil
      }
    }
  }
}
