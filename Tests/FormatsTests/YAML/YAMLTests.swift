import SwiftletFormats
import Testing

@Suite struct YAMLTests {
  private func parse(_ text: String) throws -> JSON { try YAMLDocument(parsing: text).value }

  @Test func recipes() throws {
    let recipe = try YAMLDocument(
      parsing: """
        model:     {source: org/name, weights: nf4, contextLength: 2048}   # a comment
        adapter:   {lora: {rank: 16, dropout: 0, targets: allLinear}}
        data:
          path: "rows.jsonl"
          shuffle: true
        optimizer: {adamW8bit: {learningRate: 2e-4, weightDecay: 0.01}}
        saving:    {export: [{gguf: q4_k_m}, merged]}
        output:    runs/NAME
        """)
    #expect(recipe.value["model"]?["contextLength"] == .int(2048))
    #expect(recipe.value["optimizer"]?["adamW8bit"]?["learningRate"] == .number(2e-4))
    #expect(recipe.value["data"]?["shuffle"] == .bool(true))
    #expect(recipe.value["saving"]?["export"]?.array?.last == .string("merged"))
    #expect(recipe.value.object?.keys == ["model", "adapter", "data", "optimizer", "saving", "output"])
    #expect(recipe.place(of: JSONPath([.key("adapter"), .key("lora"), .key("rank")])) == (2, 20))
    #expect(recipe.place(of: JSONPath([.key("data"), .key("shuffle")])) == (5, 3))
    #expect(recipe.place(of: JSONPath([.key("data"), .key("nothing")])) == (3, 1))
    #expect(recipe.place(of: JSONPath([.key("saving"), .key("export"), .index(1)])) == (7, 38))
  }

  @Test func scalars() throws {
    let cases: [(String, JSON)] = [
      ("1", .int(1)), ("-7", .int(-7)), ("+7", .int(7)), ("0", .int(0)), ("1e-4", .number(1e-4)), ("1E5", .number(1e5)),
      ("3.25", .number(3.25)), (".5", .number(0.5)), ("2.", .number(2)), ("-.5e+2", .number(-50)), ("0.0", .number(0)),
      ("9223372036854775808", .number(9_223_372_036_854_775_808)), ("true", .bool(true)), ("False", .bool(false)), ("~", .null),
      ("null", .null), ("yes", .string("yes")), ("on", .string("on")), ("No", .string("No")), ("\"010\"", .string("010")),
      ("'true'", .string("true")), ("1.2.3", .string("1.2.3")), ("12:30", .string("12:30")), ("2024-01-02", .string("2024-01-02")),
      ("1 2", .string("1 2")), ("-", .array([.null])), ("1e", .string("1e")), ("q4_k_m", .string("q4_k_m")), ("0.1.2", .string("0.1.2")),
      ("\"a\\n\\u00e9\\0\"", .string("a\né\0")), ("[]", .array([])), ("{}", .object(JSONObject())), ("", .null), ("# only", .null),
      ("|\n  a\n  b\n", .string("a\nb\n")), (">-\n  a\n  b\n", .string("a b")), ("~/models", .string("~/models")),
    ]
    for (text, value) in cases { #expect(try parse(text) == value, "\(text)") }
  }

  @Test func refusals() {
    let cases: [(String, String)] = [
      ("a: 010", "1:4: 010 is read as different"), ("a: 1_000", "1_000"), ("a: 0x1F", "0x1F"), ("a: 0o17", "0o17"), ("a: .inf", ".inf"),
      ("a: -.NaN", "-.NaN"), ("a: 1e999", "out of range"), ("a: 1\na: 2", "1:1: the key \"a\" stands twice"),
      ("a: {b: 1, b: 2}", "\"b\" stands twice"),
      ("a: &x 1\nb: *x", "1:4: an anchor"), ("a: *x", "undefined alias"), ("a: !!str 1", "a tag"),
      ("a: !python/object:os.system x", "a tag"),
      ("a: !!int \"1\"", "a tag"), ("! a", "a tag"), ("!!map {a: 1}", "a tag"), ("a: 1\n---\nb: 2", "another document"),
      ("1: 2", "the key 1 is a number"),
      ("true: 2", "a Boolean"), ("? [a]\n: 1", "a key must be a string"), ("{[a]: 1}", "a key must be a string"),
      ("<<: {a: 1}", "merge keys"),
      (": 1", "1:1: while parsing"), ("~: 1", "the key ~ is null"), ("a: [1", "1:"), ("a: 'x", "1:"), ("a:\n\tb: 1", "2:1"),
      ("a: \u{1}", "control characters"),
      (String(repeating: "[", count: 65) + String(repeating: "]", count: 65), "1:65: nesting deeper than 64"),
      (String(repeating: "[", count: 100_000), "nest"), (String(repeating: "{a: ", count: 100_000), "nest"),
      (String(repeating: "- ", count: 100_000), "nest"), (String(repeating: "? ", count: 100_000), "explicit keys"),
      (String(repeating: "a", count: 1_000_001), "1000001 bytes"), (bomb(9), "aliases"), (bomb(3), "an anchor"),
      ("? &a [x]\n: 1\n? *a\n: 2", "stands twice"),
    ]
    for (text, part) in cases {
      var found: String?
      let seconds = processorSeconds { found = message { try parse(text) } }
      #expect(found?.contains(part) == true, "\(text.prefix(60)): \(found ?? "accepted")")
      #expect(seconds < 1, "\(text.prefix(60)) took \(seconds)")
    }
  }

  /// "Billion laughs": each line holds nine times the line before.
  private func bomb(_ lines: Int) -> String {
    var text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    for i in 1...lines { text += "a\(i): &a\(i) [\(Array(repeating: "*a\(i - 1)", count: lines > 4 ? 9 : 2).joined(separator: ", "))]\n" }
    return text
  }

  @Test func writtenTextReadsBack() throws {
    let strings = [
      "", "a", "true", "No", "1", "1e-5", " a", "a ", "a: b", "a #b", "- a", "é\u{301}", "\u{85}\u{2028}\u{FEFF}\u{7F}", "a\nb\n", "\"\\",
      "\t", "\u{0}",
      "{{ x }}", "*a", "&a", "!x", "%y", "@z", "`", "null", "~", "010", "1_0", "0x1", ".inf", "org/name-1.5B", "runs/NAME", "😀", "<<", "=",
      "y", "12:30",
      "/tmp/a b", "a,b", "[x]", "-", "?", ":", "---", "...",
    ]
    var members: [(String, JSON)] = strings.enumerated().map { ("s\($0)", .string($1)) }
    members += strings.enumerated().map { ("\($1)x\($0)", .int($0)) }
    members += [
      ("numbers", .array([.int(-3), .number(1e-5), .number(2e300), .number(0.1), .int(0), .number(.leastNonzeroMagnitude), .number(1.0)])),
      (
        "nested",
        .array([.object(JSONObject([("a", .array([.array([.int(1)]), .array([])])), ("b", .null)])), .object(JSONObject()), .bool(false)])
      ),
      ("deep", .object(JSONObject([("x", .object(JSONObject([("y", .object(JSONObject()))])))]))),
    ]
    let value = JSON.object(JSONObject(members))
    #expect(try parse(value.yaml()) == value)
    for value: JSON in [.null, .int(3), .string("a b"), .array([.object(JSONObject([("k", .int(1))]))]), .array([]), .object(JSONObject())]
    {
      #expect(try parse(value.yaml()) == value)
    }
    #expect(
      JSON.object(JSONObject([("lora", .object(JSONObject([("rank", .int(16))]))), ("t", .array([.string("q"), .string("v")]))])).yaml()
        == """
        lora:
          rank: 16
        t: [q, v]

        """)
  }

  @Test func suggestions() {
    let known = ["rank", "alpha", "dropout", "targets"]
    #expect(Suggestion.nearest(to: "rnak", among: known) == "rank")
    #expect(Suggestion.nearest(to: "Rank", among: known) == "rank")
    #expect(Suggestion.nearest(to: "target", among: known) == "targets")
    #expect(Suggestion.nearest(to: "weights", among: known) == nil)
  }
}
