import Foundation
import Swiftlet
import TestSupport

/// Every tokenizer folder through `swiftlet tokenize`, in both directions.
enum TokenizersParity {
  static func run(_ root: URL, _ tally: Tally) throws {
    for folder in Fixtures.folders(in: root) {
      try json(folder, tally)
      try sentencePiece(folder, tally)
    }
  }

  /// One run of the command over many cases.
  struct Pass: Sendable {
    let label: String
    let options: [String]
    /// The row to send and the answer to expect, key by key; nil where the case has none.
    let row: @Sendable (JSON) -> (JSON, JSONObject)?
  }

  private static let passes = [
    Pass(label: "ids", options: ["--no-special", "--offsets"]) { wanted($0, "ids", offsets: true) },
    Pass(label: "ids_special", options: []) { wanted($0, "ids_special", or: "ids") },
    Pass(label: "ids_specials_as_text", options: ["--no-special", "--special-as-text"]) { wanted($0, "ids_specials_as_text", or: "ids") },
    Pass(label: "decoded", options: ["--decode"]) { decoded($0, from: ["ids"], "decoded") },
    Pass(label: "decoded_skip_special", options: ["--decode", "--no-special"]) {
      decoded($0, from: ["ids_special", "ids"], "decoded_skip_special")
    },
  ]

  private static func wanted(_ entry: JSON, _ key: String, or other: String? = nil, offsets: Bool = false) -> (JSON, JSONObject)? {
    guard let text = entry["t"], let ids = entry[key] ?? other.flatMap({ entry[$0] }) else { return nil }
    var answer = JSONObject([("ids", ids)])
    if offsets, let places = entry["offsets"] { answer["offsets"] = places }
    return (.object(JSONObject([("text", text)])), answer)
  }

  private static func decoded(_ entry: JSON, from keys: [String], _ key: String) -> (JSON, JSONObject)? {
    guard let ids = keys.lazy.compactMap({ entry[$0] }).first, let text = entry[key] ?? entry["t"] else { return nil }
    return (.object(JSONObject([("ids", ids)])), JSONObject([("text", text)]))
  }

  private static func json(_ folder: URL, _ tally: Tally) throws {
    let file = folder.appending(path: "expected.json")
    guard Fixtures.exists(file) else { return tally.fail(folder.lastPathComponent, "has no expected.json") }
    let expected = try Fixtures.json(file)
    for pass in passes {
      compare(pass, expected["cases"]?.array ?? [], model: folder, name: folder.lastPathComponent, tally)
    }
    let pairs = Pass(label: "pairs", options: []) { entry in
      guard let a = entry["a"], let b = entry["b"], let ids = entry["ids"], let types = entry["type_ids"] else { return nil }
      return (.object(JSONObject([("text", a), ("pair", b)])), JSONObject([("ids", ids), ("type_ids", types)]))
    }
    compare(pairs, expected["pairs"]?.array ?? [], model: folder, name: folder.lastPathComponent, tally)
  }

  /// `tokenizer.model` alone, as the SentencePiece library reads it.
  private static func sentencePiece(_ folder: URL, _ tally: Tally) throws {
    let file = folder.appending(path: "expected_sentencepiece.json")
    guard Fixtures.exists(file) else { return }
    let temporary = try TemporaryFolder()
    let model = folder.appending(path: "tokenizer.model")
    try FileManager.default.createSymbolicLink(at: temporary.url.appending(path: "tokenizer.model"), withDestinationURL: model)
    let cases = try Fixtures.json(file)["cases"]?.array ?? []
    let name = folder.lastPathComponent + "/tokenizer.model"
    let encode = Pass(label: "ids", options: ["--no-special", "--special-as-text"]) { wanted($0, "ids") }
    let decode = Pass(label: "decoded", options: ["--decode"]) { decoded($0, from: ["ids"], "decoded") }
    for pass in [encode, decode] { compare(pass, cases, model: temporary.url, name: name, tally) }
  }

  private static func compare(_ pass: Pass, _ cases: [JSON], model: URL, name: String, _ tally: Tally) {
    let work = cases.enumerated().compactMap { index, entry in pass.row(entry).map { (index, $0.0, $0.1) } }
    guard !work.isEmpty else { return }
    let answers: [JSON]
    do {
      let folder = try TemporaryFolder()
      let input = try folder.rows("rows.jsonl", work.map(\.1))
      answers = try Command.rows(["tokenize", model.path, "--quiet", "--input", input.path] + pass.options)
      guard answers.count == work.count else { throw Command.Failed(description: "\(answers.count) answers to \(work.count) rows") }
    } catch {
      for (index, _, _) in work { tally.fail("\(name) \(pass.label) \(index)", oneLine(error)) }
      return
    }
    for ((index, row, wanted), answer) in zip(work, answers) {
      tally.check("\(name) \(pass.label) \(index)") { mismatch(answer, wanted).map { "\($0) of \(row.serialized().prefix(80))" } }
    }
  }

  private static func mismatch(_ answer: JSON, _ wanted: JSONObject) -> String? {
    for (key, value) in wanted {
      guard let found = answer[key] else { return "no \(key) in \(answer.serialized().prefix(120))" }
      if let text = value.string {
        if let reason = difference(found.string ?? "", text) { return reason }
      } else if let ids = value.ids {
        guard let given = found.ids else { return "\(key) is no list of ids" }
        if let reason = difference(given, ids) { return "\(key) \(reason)" }
      } else if found != value {
        return "\(key) is \(found.serialized().prefix(100)), want \(value.serialized().prefix(100))"
      }
    }
    return nil
  }
}
