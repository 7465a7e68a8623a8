import SwiftletFormats

/// Turns of user and assistant, as a row of layout `chat`.
struct Conversation {
  private(set) var turns: [(role: String, content: String)] = []

  init() {}

  /// One question and its answer.
  init(_ question: String, _ answer: String) { add(question, answer) }

  mutating func add(_ question: String, _ answer: String) {
    turns.append(("user", question))
    turns.append(("assistant", answer))
  }

  static func + (a: Conversation, b: Conversation) -> Conversation {
    var both = a
    both.turns += b.turns
    return both
  }

  /// `{"messages": […]}` on one line.
  var row: String {
    let messages = turns.map { JSON.object(JSONObject([("role", .string($0.role)), ("content", .string($0.content))])) }
    return JSON.object(JSONObject([("messages", .array(messages))])).serialized()
  }
}
