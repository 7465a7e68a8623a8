/// A row of `score` and `generate`: text in one of the forms that commands take.
public struct TextRow: Sendable {
  /// What the row holds.
  public enum Content: Sendable {
    /// Text as it is.
    case text(String)
    /// A user's message, for the chat template where there is one.
    case prompt(String)
    /// A conversation, with the tools that it may use.
    case messages([JSON], tools: JSON?)
    /// Token ids as they are.
    case ids([Int32])
  }

  /// What the row holds.
  public let content: Content

  /// A row with a prompt.
  public init(prompt: String) { content = .prompt(prompt) }

  /// A row with content.
  public init(_ content: Content) { self.content = content }

  /// Reads `{"input_ids"}`, `{"messages"}`, `{"prompt"}` or `{"text"}`, the first that is there.
  /// - Throws: `RowProblem`.
  public init(_ row: JSONObject) throws {
    if row["input_ids"] != nil {
      content = .ids(try row.requireIDs("input_ids"))
    } else if row["messages"] != nil {
      content = .messages(try row.requireMessages("messages"), tools: row["tools"])
    } else if row["prompt"] != nil {
      content = .prompt(try row.requireString("prompt"))
    } else if row["text"] != nil {
      content = .text(try row.requireString("text"))
    } else {
      throw RowProblem("none of \"text\", \"prompt\", \"messages\", \"input_ids\" is there: the row has \(row.keys.prefix(8))")
    }
  }
}
