import Foundation

/// Tokenizer and chat template of a model.
public struct ModelText: Sendable {
  /// The tokenizer.
  public let tokenizer: Tokenizer
  /// The chat template; nil for base models without one.
  public let template: ChatTemplate?

  /// Reads the text side of a folder; nil where it holds no tokenizer.
  /// - Throws: where the files make no sense, naming file and field.
  public init?(ifIn folder: String) throws {
    let isThere = ["tokenizer.json", "tokenizer.model"].contains { FileManager.default.fileExists(atPath: folder + "/" + $0) }
    guard try folder.hasSuffix(".gguf") ? Tokenizer.isInGGUF(folder) : isThere else { return nil }
    try self.init(folder)
  }

  /// Reads the text side of a folder.
  /// - Throws: where there is no tokenizer, or the files make no sense, naming file and field.
  public init(_ folder: String) throws {
    tokenizer = try Tokenizer.load(folder: folder)
    do throws(JinjaError) {
      template = if let source = tokenizer.chatTemplate { try ChatTemplate(source) } else { nil }
    } catch {
      throw Failure(
        "the chat template cannot be read", at: folder, why: "\(error)", fix: "mend chat_template.jinja or tokenizer_config.json")
    }
  }

  /// Whether there is a chat template.
  public var hasTemplate: Bool { template != nil }

  /// Ids that end an answer: the tokenizer's end of sequence, and the ends of a turn that stand in the template.
  public var stopIDs: Set<Int32> {
    let source = tokenizer.chatTemplate ?? ""
    let turnEnds = tokenizer.specialTokens.stopCandidates.filter { id in
      guard let token = tokenizer.token(of: id) else { return false }
      return source.contains(token)
    }
    return Set(([tokenizer.specialTokens.eos?.id].compactMap(\.self) + turnEnds).compactMap(Int32.init(exactly:)))
  }

  /// The ids of plain text, with the tokens that begin a sequence.
  public func encode(_ text: String) throws -> [Int32] { try tokenizer.encode(text).map(Int32.init) }

  /// The ids of a conversation as the template renders it, which brings its own special tokens.
  /// - Throws: `Failure` where there is no template, or where it refuses the conversation.
  public func encode(messages: [JSON], tools: JSON?, addGenerationPrompt: Bool) throws -> [Int32] {
    guard let template else {
      throw Failure(
        "no chat template", at: "\"messages\"", why: "the model's tokenizer files hold none", fix: "give \"text\" or \"prompt\" instead")
    }
    let options = ChatTemplate.Options(addGenerationPrompt: addGenerationPrompt, tools: tools, specialTokens: specialTokens)
    do {
      let text = try template.render(messages: .array(messages), options).text
      return try tokenizer.encode(text, addSpecialTokens: false).map(Int32.init)
    } catch let error as JinjaError {
      throw Failure(
        "the chat template refuses a conversation", at: "\"messages\"", why: "\(error)", fix: "change the messages, or use --raw")
    }
  }

  /// Special tokens as templates see them.
  public var specialTokens: [(name: String, text: String)] {
    tokenizer.specialTokens.named.sorted { $0.key < $1.key }.map { (name: $0.key, text: $0.value) }
  }

  /// The text of ids, without special tokens.
  public func decode(_ ids: [Int32]) -> String { tokenizer.decode(ids.map(Int.init), skipSpecialTokens: true) }

  /// The ids under `eos_token_id` in `generation_config.json` and `config.json`: a number or a list.
  static func configuredStops(in folder: String) throws -> Set<Int32> {
    var stops: Set<Int32> = []
    for name in ["generation_config.json", "config.json"] {
      guard let data = FileManager.default.contents(atPath: folder + "/" + name) else { continue }
      let value = try JSON(parsing: data)["eos_token_id"]
      stops.formUnion((value?.array ?? value.map { [$0] } ?? []).compactMap { $0.int.flatMap(Int32.init(exactly:)) })
    }
    return stops
  }
}
