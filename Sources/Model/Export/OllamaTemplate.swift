import SwiftletCheckpoints
import SwiftletFormats
import SwiftletTokenizers

/// A chat template in the language of Ollama's Modelfiles, found by rendering conversations with the model's own template and proved on others.
struct OllamaTemplate {
  /// What stands around the words of a role.
  struct Turn: Hashable {
    var before = ""
    var after = ""
  }

  /// What stands first where a conversation has no system message.
  private(set) var opening = ""
  private(set) var system: Turn?
  private(set) var user = Turn()
  private(set) var assistant = Turn()
  /// What stands before the answer.
  private(set) var prompt = ""

  typealias Message = (role: String, content: String)

  /// - Parameter bos: the text of the token that begins a sequence, which the program adds by itself; empty for none.
  /// - Throws: where the template is no sequence of turns, each rendered by itself.
  init(_ template: ChatTemplate, specialTokens: [(name: String, text: String)], bos: String) throws {
    func render(_ messages: [Message], _ adds: Bool = false) throws -> String {
      let rows = messages.map { JSON.object(JSONObject([("role", .string($0.role)), ("content", .string($0.content))])) }
      let text = try template.render(
        messages: .array(rows), ChatTemplate.Options(addGenerationPrompt: adds, specialTokens: specialTokens)
      ).text
      return bos.isEmpty || !text.hasPrefix(bos) ? text : String(text.dropFirst(bos.count))
    }
    try find(render)
    try prove(render)
  }

  private func refused(_ why: String) -> CheckpointError {
    CheckpointError("chat template", "has no form in a Modelfile: \(why); export --format gguf keeps the template as it is")
  }

  /// What stands before and after words that stand once in a text.
  private func around(_ words: String, _ text: String) throws -> (String, String) {
    let parts = text.split(separator: words, maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 2 else { throw refused("a message's words do not stand once in what is rendered") }
    return (String(parts[0]), String(parts[1]))
  }

  private func dropping(_ prefix: String, _ text: String) throws -> String {
    guard text.hasPrefix(prefix) else { throw refused("a turn is rendered otherwise beside others") }
    return String(text.dropFirst(prefix.count))
  }

  private mutating func find(_ render: ([Message], Bool) throws -> String) throws {
    let (one, two, answer, rules) = ("USERWORDSONE", "USERWORDSTWO", "ANSWERWORDS", "SYSTEMWORDS")
    let alone = try render([("user", one)], false)
    let (head, tail) = try around(one, alone)
    prompt = try dropping(alone, render([("user", one)], true))
    let (_, behind) = try around(one, render([("user", one), ("assistant", answer), ("user", two)], false))
    let (toAnswer, fromAnswer) = try around(answer, behind)
    let (between, _) = try around(two, fromAnswer)
    let closing = try around(answer, render([("user", one), ("assistant", answer)], false)).1
    user.after = tail
    assistant = Turn(before: try dropping(tail, toAnswer), after: closing)
    user.before = try dropping(closing, between)
    guard head.hasSuffix(user.before) else { throw refused("the first turn is rendered otherwise than later ones") }
    opening = String(head.dropLast(user.before.count))
    guard let ruled = try? render([("system", rules), ("user", one)], false), let (before, after) = try? around(rules, ruled),
      let (inner, _) = try? around(one, after), inner.hasSuffix(user.before)
    else { return }
    system = Turn(before: before, after: String(inner.dropLast(user.before.count)))
  }

  /// A conversation as the Modelfile's template renders it.
  func rendered(_ messages: [Message], adds: Bool) -> String {
    var text = messages.first?.role == "system" ? "" : opening
    for message in messages {
      let turn = message.role == "system" ? system ?? Turn() : message.role == "user" ? user : assistant
      text += turn.before + message.content + turn.after
    }
    return text + (adds ? prompt : "")
  }

  private func prove(_ render: ([Message], Bool) throws -> String) throws {
    var conversations: [[Message]] = [
      [("user", "Hi.")], [("user", "a"), ("assistant", "b\nc"), ("user", "d")],
      [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e")],
    ]
    if system != nil { conversations += conversations.map { [("system", "Be brief.\nBe kind.")] + $0 } }
    for conversation in conversations where try render(conversation, true) != rendered(conversation, adds: true) {
      throw refused("a conversation of \(conversation.count) messages is rendered otherwise")
    }
  }

  /// The template of a Modelfile.
  var text: String {
    func literal(_ text: String) -> String { text.contains("{{") ? "{{ `\(text)` }}" : text }
    func turn(_ role: String, _ turn: Turn) -> String {
      "if eq .Role \"\(role)\" }}\(literal(turn.before)){{ .Content }}\(literal(turn.after)){{ "
    }
    let first = opening.isEmpty ? "" : "{{ if ne (index .Messages 0).Role \"system\" }}\(literal(opening)){{ end }}"
    let rules = system.map { turn("system", $0) + "else " } ?? ""
    return first + "{{ range .Messages }}{{ " + rules + turn("user", user) + "else " + turn("assistant", assistant) + "end }}{{ end }}"
      + literal(prompt)
  }

  /// A Modelfile beside `model`.
  /// - Parameters:
  ///   - stops: texts that end an answer.
  ///   - context: tokens of the longest sequence.
  static func modelfile(model: String, template: OllamaTemplate?, stops: [String], context: Int) -> String {
    var lines = ["FROM ./\(model)"]
    if let template { lines.append("TEMPLATE \"\"\"\(template.text)\"\"\"") }
    lines += stops.map { "PARAMETER stop \(JSON.string($0).serialized())" }
    lines.append("PARAMETER num_ctx \(context)")
    return lines.joined(separator: "\n") + "\n"
  }
}
