import SwiftletTensorCore

/// A conversation with a model, message by message.
public struct ChatSession {
  private let model: LanguageModel
  private let options: GenerationOptions
  private let system: String?
  /// The messages so far.
  public private(set) var messages: [JSON] = []
  private var turns: UInt64 = 0

  /// Starts a conversation.
  /// - Parameter system: the system message.
  /// - Throws: where the model has no tokenizer.
  public init(_ model: LanguageModel, system: String? = nil, options: GenerationOptions) throws {
    _ = try model.requireText()
    self.model = model
    self.system = system
    self.options = options
    reset()
  }

  /// Forgets all but the system message.
  public mutating func reset() {
    messages = system.map { [Self.message("system", $0)] } ?? []
  }

  /// Answers a user's message; `stream` takes the text piece by piece. Both messages join the conversation.
  public mutating func answer(to text: String, stream: (String) -> Void) throws -> GeneratedText {
    messages.append(Self.message("user", text))
    var options = options
    // Another stream of random numbers for each turn, so that the same question twice may have two answers.
    options.sampling.seed = Random(seed: options.sampling.seed).split(turns).stream
    var answer: GeneratedText?
    do {
      let row = model.hasTemplate ? TextRow(.messages(messages, tools: nil)) : TextRow(.text(plain))
      try Generator(model, [row], options: options).run(stream: stream) { answer = $0 }
    } catch {
      messages.removeLast()
      throw error
    }
    turns += 1
    let given = answer ?? GeneratedText(index: 0, text: "", tokens: [], finishReason: .length)
    messages.append(Self.message("assistant", given.text ?? ""))
    return given
  }

  /// The conversation for a model without a template: its messages, one after another.
  private var plain: String { messages.compactMap { $0["content"]?.string }.joined(separator: "\n") + "\n" }

  private static func message(_ role: String, _ content: String) -> JSON {
    .object(JSONObject([("role", .string(role)), ("content", .string(content))]))
  }
}
