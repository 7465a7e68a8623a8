import SwiftletFormats

/// A model's chat template: turns messages into the text that the model reads, as `transformers` 4.57 does
/// (`apply_chat_template(tokenize=False)`).
///
/// ```swift
/// let template = try ChatTemplate(source)
/// let text = try template.render(messages: messages, .init(addGenerationPrompt: true)).text
/// ```
public struct ChatTemplate: Sendable {
  /// What is rendered besides the messages.
  public struct Options: Sendable {
    /// Whether the opening of the assistant's next turn is appended.
    public var addGenerationPrompt = false
    /// Whether the text ends with the last message's content, left open to be continued.
    public var continueFinalMessage = false
    /// The tools offered to the model: an array of objects, or nil (the variable `tools` is then None).
    public var tools: JSON?
    /// Further variables, such as `enable_thinking`.
    public var variables = JSONObject()
    /// Special tokens by name (`bos_token`, …); a token that is not there is undefined in the template.
    public var specialTokens: [(name: String, text: String)] = []
    /// What `strftime_now` prints; nil is the machine's clock.
    public var now: JinjaDate?

    /// Options; the defaults render a whole conversation.
    public init(
      addGenerationPrompt: Bool = false, continueFinalMessage: Bool = false, tools: JSON? = nil, variables: JSONObject = JSONObject(),
      specialTokens: [(name: String, text: String)] = [], now: JinjaDate? = nil
    ) {
      self.addGenerationPrompt = addGenerationPrompt
      self.continueFinalMessage = continueFinalMessage
      self.tools = tools
      self.variables = variables
      self.specialTokens = specialTokens
      self.now = now
    }
  }

  /// A rendered conversation.
  public struct Rendered: Hashable, Sendable {
    /// The text.
    public let text: String
    /// What the assistant produced, as ranges of Unicode code points of `text`. From `render` these are the `{% generation %}` blocks.
    public let generationSpans: [Range<Int>]

    /// Puts a result together.
    public init(text: String, generationSpans: [Range<Int>]) {
      self.text = text
      self.generationSpans = generationSpans
    }
  }

  /// The source.
  public let source: String
  /// Whether the source marks what the assistant produces with `{% generation %}`.
  public let marksGeneration: Bool
  private let template: JinjaTemplate

  /// Reads a template.
  /// - Throws: `JinjaError` with the line of what is wrong.
  public init(_ source: String, limits: JinjaLimits = JinjaLimits()) throws(JinjaError) {
    self.source = source
    template = try JinjaTemplate(source, limits: limits)
    marksGeneration = template.hasGenerationBlocks
  }

  /// Renders a conversation.
  ///
  /// The variables `messages`, `tools`, `documents` (None) and `add_generation_prompt` are always there; special tokens come next, and
  /// `options.variables` go over them.
  /// - Parameter messages: an array of objects with `role` and, mostly, `content`.
  /// - Throws: `JinjaError` where the template fails or refuses its input (`kind == .raised`), `ChatTemplateError` where the options or
  ///   messages do not fit together.
  public func render(messages: JSON, _ options: Options = Options()) throws -> Rendered {
    guard options.continueFinalMessage else { return try renderPlainly(messages, options) }
    guard !options.addGenerationPrompt else {
      throw ChatTemplateError(
        "continue_final_message and add_generation_prompt are not compatible: use the first to continue the last message, the second to "
          + "open a new one")
    }
    let marked = try FinalMessageMark(messages)
    return try marked.cut(renderPlainly(marked.messages, options))
  }

  private func renderPlainly(_ messages: JSON, _ options: Options) throws -> Rendered {
    let rendering = try template.render(try variables(messages, options), now: options.now)
    return Rendered(text: rendering.text, generationSpans: rendering.generationSpans)
  }

  private static let reserved = ["messages", "tools", "documents", "add_generation_prompt"]

  private func variables(_ messages: JSON, _ options: Options) throws -> JSONObject {
    var variables = JSONObject()
    for (name, text) in options.specialTokens { variables[name] = .string(text) }
    for (name, value) in options.variables {
      guard !Self.reserved.contains(name) else { throw ChatTemplateError("the variable '\(name)' is set by the chat template itself") }
      variables[name] = value
    }
    variables["messages"] = messages
    variables["tools"] = try checked(options.tools)
    variables["documents"] = .null
    variables["add_generation_prompt"] = .bool(options.addGenerationPrompt)
    return variables
  }

  private func checked(_ tools: JSON?) throws -> JSON {
    guard let tools, !tools.isNull else { return .null }
    guard let list = tools.array else { throw ChatTemplateError("tools: an array of JSON schemas is wanted, found \(tools.kind)") }
    for (index, tool) in list.enumerated() where tool.object == nil {
      throw ChatTemplateError("tools[\(index)]: a JSON schema (an object) is wanted, found \(tool.kind)")
    }
    return tools
  }
}

/// Messages and options that no template could render.
public struct ChatTemplateError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was wanted and what was found.
  public let message: String
  /// Makes an error.
  public init(_ message: String) { self.message = message }
  /// The message.
  public var description: String { message }
}
