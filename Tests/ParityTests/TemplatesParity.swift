import Foundation
import Swiftlet
import TestSupport

/// Every chat template through `swiftlet template --template`, and the probes of single features.
enum TemplatesParity {
  static func run(_ root: URL, _ tally: Tally) throws {
    let inputs = try Fixtures.json(root.appending(path: "inputs.json"))
    let expected = root.appending(path: "expected")
    for name in Fixtures.names(in: expected) where name.hasSuffix(".json") {
      let file = try Fixtures.json(expected.appending(path: name))
      let template = root.appending(path: file["template"]?.string ?? "")
      let cases = file["cases"]?.array ?? []
      let rows = cases.map { row($0, file: file, inputs: inputs) }
      compare(String(name.dropLast(5)), template: template, cases, rows, tally)
    }
    try probes(root, inputs, tally)
  }

  private static func row(_ entry: JSON, file: JSON, inputs: JSON) -> JSON {
    var row = JSONObject()
    row["messages"] = entry["conversation"]?.string.flatMap { inputs["conversations"]?[$0] } ?? .array([])
    if let name = entry["tools"]?.string { row["tools"] = inputs["tools"]?[name] }
    if let flag = entry["add_generation_prompt"] { row["add_generation_prompt"] = flag }
    if let flag = entry["continue_final_message"] { row["continue_final_message"] = flag }
    if let variables = entry["kwargs"] { row["variables"] = variables }
    if let tokens = file["special_tokens"] { row["special_tokens"] = tokens }
    if let now = file["now"] { row["now"] = now }
    return .object(row)
  }

  private static func probes(_ root: URL, _ inputs: JSON, _ tally: Tally) throws {
    let file = root.appending(path: "jinja_probes.json")
    guard Fixtures.exists(file) else { return }
    let probes = try Fixtures.json(file)
    let folder = try TemporaryFolder()
    for entry in probes["cases"]?.array ?? [] {
      let template = folder.url.appending(path: "probe.jinja")
      try Data((entry["template"]?.string ?? "").utf8).write(to: template)
      var shared = JSONObject([("special_tokens", .object(JSONObject()))])
      shared["now"] = probes["now"]
      compare(
        "probe " + (entry["name"]?.string ?? "?"), template: template, [entry], [row(entry, file: .object(shared), inputs: inputs)], tally)
    }
  }

  private static func compare(_ name: String, template: URL, _ cases: [JSON], _ rows: [JSON], _ tally: Tally) {
    do {
      let folder = try TemporaryFolder()
      let input = try folder.rows("rows.jsonl", rows)
      let answers = try Command.rows(["template", "--template", template.path, "--spans", "--quiet", "--input", input.path])
      guard answers.count == cases.count else { throw Command.Failed(description: "\(answers.count) answers to \(cases.count) rows") }
      for (index, (entry, answer)) in zip(cases, answers).enumerated() {
        tally.check("\(name) \(index) (\(entry["conversation"]?.string ?? ""))") { mismatch(answer, entry) }
      }
    } catch {
      for index in cases.indices { tally.fail("\(name) \(index)", oneLine(error)) }
    }
  }

  private static func mismatch(_ answer: JSON, _ entry: JSON) -> String? {
    if entry["error"] != nil { return answer["error"] == nil ? "rendered, where an error is wanted" : nil }
    guard let text = answer["text"]?.string else { return "refused: \(answer["error"]?.string ?? "no text")" }
    if let reason = difference(text, entry["expected"]?.string ?? "") { return reason }
    if let spans = entry["generation_spans"], answer["spans"] != spans {
      return "spans \(answer["spans"]?.serialized() ?? "none"), want \(spans.serialized())"
    }
    return nil
  }
}
