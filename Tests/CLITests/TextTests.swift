import Foundation
import Swiftlet
import TestSupport
import Testing

@Suite struct TextTests {
  @Test func tokensGoBackToTheirText() throws {
    let model = try TinyModel()
    let texts = ["Hello, world!", "  two spaces\n", "Grüße 🙂", ""]
    let input = try model.work.rows("texts.jsonl", texts.map { .object(JSONObject([("text", .string($0))])) })
    let encoded = try Command.rows(["tokenize", model.path, "--no-special", "--input", input.path])
    #expect(encoded.map { $0["index"]?.int } == [0, 1, 2, 3])
    let ids = try model.work.rows("ids.jsonl", encoded.map { .object(JSONObject([("ids", $0["ids"] ?? .null)])) })
    let decoded = try Command.rows(["tokenize", model.path, "--decode", "--input", ids.path])
    #expect(decoded.map { $0["text"]?.string } == texts)
  }

  @Test func standardInputIsRead() throws {
    let model = try TinyModel()
    let result = try Command.run(["tokenize", model.path, "--input", "-"], input: "{\"text\":\"a\"}\n\n{\"text\":\"b\"}")
    #expect(result.code == 0)
    #expect(result.output.split(separator: "\n").count == 2)
  }

  @Test func badRowsAreNamedByLineAndField() throws {
    let model = try TinyModel()
    let result = try Command.run(["tokenize", model.path, "--input", "-"], input: "{\"text\":\"a\"}\n{\"text\":5}\n{\"text\":\n[1]\n")
    #expect(result.code == 1)
    #expect(result.output.isEmpty)
    for wanted in ["-:2", "\"text\" is a number", "-:3:", "-:4", "fix:"] { #expect(result.error.contains(wanted), "\(result.error)") }
  }

  @Test func atMostTwentyBadRowsAreListed() throws {
    let model = try TinyModel()
    let result = try Command.run(["tokenize", model.path, "--input", "-"], input: String(repeating: "{}\n", count: 50))
    #expect(result.error.contains("-:20:") && !result.error.contains("-:21:"))
  }

  @Test func templatesRenderAndRefuse() throws {
    let work = try TemporaryFolder()
    let file = work.url.appending(path: "t.jinja")
    let source = """
      {%- for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools here') }}{% endif -%}
      <{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %} {{ strftime_now('%Y') }} {{ mood }}
      """
    try Data(source.utf8).write(to: file)
    let rows = try [
      ##"{"messages":[{"role":"user","content":"Hi"}],"add_generation_prompt":true,"special_tokens":{"eos_token":"</s>"},"##
        + ##""now":"2025-03-14T09:26:53","variables":{"mood":"calm"}}"##,
      #"{"messages":[{"role":"tool","content":"x"}]}"#,
    ].map { try JSON(parsing: $0) }
    let input = try work.rows("rows.jsonl", rows)
    let answers = try Command.rows(["template", "--template", file.path, "--input", input.path])
    #expect(answers[0]["text"]?.string == "<user>Hi</s><assistant> 2025 calm")
    #expect(answers[1]["index"]?.int == 1)
    #expect(answers[1]["error"]?.string?.contains("no tools here") == true)
    #expect(answers[1]["text"] == nil)
  }

  @Test func theModelsOwnTemplateIsUsed() throws {
    let model = try TinyModel()
    let result = try Command.run(
      ["template", model.path, "--input", "-"], input: #"{"messages":[{"role":"user","content":"Hi"}],"add_generation_prompt":true}"#)
    #expect(result.output.contains("<|user|>Hi<|end|><|assistant|>"), "\(result.output) \(result.error)")
  }
}
