import SwiftletFormats

/// Reads conversations in both forms that data sets use, into the form that chat templates take.
struct ConversationReader {
  /// Whether a row without an assistant turn is an error.
  let needsAnswer: Bool

  static let roles = ["system", "developer", "user", "assistant", "tool"]
  /// Names that data sets of the ShareGPT kind give to roles.
  static let aliases: [String: String] = [
    "human": "user", "user": "user", "input": "user", "prompter": "user", "gpt": "assistant", "assistant": "assistant",
    "output": "assistant",
    "model": "assistant", "bot": "assistant", "chatgpt": "assistant", "bard": "assistant", "system": "system", "developer": "developer",
    "tool": "tool", "observation": "tool", "function_response": "tool", "ipython": "tool",
  ]

  func chat(_ fields: RowFields) throws(RowError) -> Conversation {
    let messages = try fields.array("messages")
    for (index, message) in messages.enumerated() {
      try check(try RowFields(message, at: fields.path.appending("messages").appending(index)))
    }
    return try finish(messages, fields, key: "messages")
  }

  func shareGPT(_ fields: RowFields) throws(RowError) -> Conversation {
    let key = fields["conversations"] == nil && fields["conversation"] != nil ? "conversation" : "conversations"
    var messages: [JSON] = []
    if let system = try fields.optionalString("system") { messages.append(Self.message("system", .string(system))) }
    for (index, turn) in try fields.array(key).enumerated() {
      messages.append(try self.turn(try RowFields(turn, at: fields.path.appending(key).appending(index))))
    }
    return try finish(messages, fields, key: key)
  }

  private static func message(_ role: String, _ content: JSON) -> JSON {
    .object(JSONObject([("role", .string(role)), ("content", content)]))
  }

  private func turn(_ fields: RowFields) throws(RowError) -> JSON {
    let roleKey = fields.object["from"] == nil && fields.object["role"] != nil ? "role" : "from"
    let textKey = fields.object["value"] == nil && fields.object["content"] != nil ? "content" : "value"
    let name = try fields.string(roleKey)
    guard let role = Self.aliases[name.lowercased()] else {
      throw RowError(
        fields.path.appending(roleKey), "is \"\(name.prefix(40))\", want one of \(Self.aliases.keys.sorted().joined(separator: " "))")
    }
    let text = try fields.string(textKey)
    if text.isEmpty, role == "assistant" || role == "user" { throw RowError(fields.path.appending(textKey), "is empty: a turn has a text") }
    return Self.message(role, .string(text))
  }

  private func check(_ fields: RowFields) throws(RowError) {
    let role = try fields.string("role")
    guard Self.roles.contains(role) else {
      let hint = Self.aliases[role.lowercased()].map { " (did you mean \"\($0)\"? layout: sharegpt reads such names)" } ?? ""
      throw RowError(fields.path.appending("role"), "is \"\(role.prefix(40))\", want one of \(Self.roles.joined(separator: " "))\(hint)")
    }
    let calls = try toolCalls(fields)
    if calls, role != "assistant" {
      throw RowError(fields.path.appending("tool_calls"), "stands in a turn of role \"\(role)\", want \"assistant\"")
    }
    try content(fields, role: role, mayBeMissing: calls)
  }

  private func content(_ fields: RowFields, role: String, mayBeMissing: Bool) throws(RowError) {
    let path = fields.path.appending("content")
    guard let value = fields.object["content"] else {
      if mayBeMissing { return }
      throw fields.missing("content", "a string")
    }
    switch value {
    case .string(let text):
      if text.isEmpty, !mayBeMissing, role == "assistant" || role == "user" { throw RowError(path, "is empty: a turn has a text") }
    case .array(let parts): try self.parts(parts, at: path)
    case .null where mayBeMissing: break
    default: throw RowError(path, "is \(value.kind), want a string")
    }
  }

  private func parts(_ parts: [JSON], at path: JSONPath) throws(RowError) {
    guard !parts.isEmpty else { throw RowError(path, "is an empty array") }
    for (index, part) in parts.enumerated() {
      let fields = try RowFields(part, at: path.appending(index))
      let type = try fields.string("type")
      guard type == "text" else {
        throw RowError(fields.path.appending("type"), "is \"\(type.prefix(40))\": only \"text\" can be trained on")
      }
      _ = try fields.string("text")
    }
  }

  /// Whether there are calls; checks each.
  private func toolCalls(_ fields: RowFields) throws(RowError) -> Bool {
    guard fields["tool_calls"] != nil else { return false }
    for (index, call) in try fields.array("tool_calls").enumerated() {
      let call = try RowFields(call, at: fields.path.appending("tool_calls").appending(index))
      // The function's fields stand in "function", or directly in the call.
      var function = call
      if let inner = call["function"] { function = try RowFields(inner, at: call.path.appending("function")) }
      _ = try function.filledString("name", why: "the name of a function is wanted")
      if let arguments = function["arguments"], arguments.object == nil, arguments.string == nil {
        throw RowError(function.path.appending("arguments"), "is \(arguments.kind), want an object")
      }
    }
    return true
  }

  private func finish(_ messages: [JSON], _ fields: RowFields, key: String) throws(RowError) -> Conversation {
    if needsAnswer, !messages.contains(where: { $0["role"]?.string == "assistant" }) {
      throw RowError(fields.path.appending(key), "has no assistant turn: training on replies needs at least one")
    }
    return Conversation(messages: messages, tools: try tools(fields))
  }

  /// An array of objects, or the same as a string of JSON, as column formats store it.
  private func tools(_ fields: RowFields) throws(RowError) -> JSON? {
    guard var value = fields["tools"] else { return nil }
    let path = fields.path.appending("tools")
    if let text = value.string {
      if text.allSatisfy(\.isWhitespace) { return nil }
      do throws(JSONError) { value = try JSON(parsing: text) } catch { throw RowError(path, "is a string that is not JSON: \(error)") }
    }
    guard let tools = value.array else { throw RowError(path, "is \(value.kind), want an array") }
    for (index, tool) in tools.enumerated() where tool.object == nil {
      throw RowError(path.appending(index), "is \(tool.kind), want an object")
    }
    return tools.isEmpty ? nil : .array(tools)
  }
}
