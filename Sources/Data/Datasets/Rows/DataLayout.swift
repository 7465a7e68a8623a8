import SwiftletFormats

/// How the rows of a data set are written.
public enum DataLayout: String, CaseIterable, Hashable, Sendable, Codable {
  /// `{"instruction": …, "input"?: …, "output": …, "system"?: …}`
  case alpaca
  /// `{"conversations": [{"from": "human", "value": …}, …], "system"?: …, "tools"?: …}`
  case sharegpt
  /// `{"messages": [{"role": …, "content": …}, …], "tools"?: …}`
  case chat
  /// `{"text": …}`, or a file of plain text (`.txt`, `.md`)
  case text
  /// `{"input_ids": […], "labels"?: […]}`; −100 is not trained on
  case tokens
}

/// One row, checked field by field, not yet rendered.
public enum Example: Hashable, Sendable {
  /// An instruction with its answer.
  case instruction(Instruction)
  /// A conversation.
  case conversation(Conversation)
  /// Running text.
  case text(String)
  /// Token ids with their labels (−100: not trained on), equally many.
  case tokens(ids: [Int32], labels: [Int32])
}

/// A row of layout `alpaca`.
public struct Instruction: Hashable, Sendable {
  /// What is to be done.
  public let instruction: String
  /// What it is to be done with; empty where there is nothing.
  public let input: String
  /// The answer.
  public let output: String
  /// A system message of the row.
  public let system: String?

  /// An instruction with its answer.
  public init(instruction: String, input: String = "", output: String, system: String? = nil) {
    self.instruction = instruction
    self.input = input
    self.output = output
    self.system = system
  }

  /// The same as a conversation of two turns: the input follows the instruction after an empty line.
  public var conversation: Conversation {
    func message(_ role: String, _ content: String) -> JSON {
      .object(JSONObject([("role", .string(role)), ("content", .string(content))]))
    }
    let turns = [message("user", input.isEmpty ? instruction : "\(instruction)\n\n\(input)"), message("assistant", output)]
    return Conversation(messages: (system.map { [message("system", $0)] } ?? []) + turns, tools: nil)
  }
}

/// A conversation in the form that chat templates take.
public struct Conversation: Hashable, Sendable {
  /// Objects with `role` and `content`, and what else the row has.
  public let messages: [JSON]
  /// Definitions of tools.
  public let tools: JSON?

  /// A conversation.
  public init(messages: [JSON], tools: JSON? = nil) {
    self.messages = messages
    self.tools = tools
  }
}
