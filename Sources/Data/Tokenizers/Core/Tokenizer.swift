import Synchronization

/// Turns text into token ids and back, exactly as Hugging Face `tokenizers` does with the same `tokenizer.json`, or as SentencePiece
/// does with the same `tokenizer.model`.
///
/// Safe to use from many threads. Encoding takes time linear in the text's length (times its logarithm for single words without end).
public final class Tokenizer: Sendable {
  enum Core: Sendable {
    case pipeline(Pipeline)
    case sentencePiece(SentencePieceTokenizer)
  }

  let core: Core
  /// Special tokens by role.
  public let specialTokens: SpecialTokens
  /// Source text of the default chat template, not parsed.
  public let chatTemplate: String?
  /// Source texts of all chat templates by name (`default`, `tool_use` …).
  public let chatTemplates: [String: String]
  /// Number of different tokens, added ones included.
  public let vocabularySize: Int

  private let workspaces = Mutex<[Workspace]>([])

  init(core: Core, specialTokens: SpecialTokens, chatTemplates: [String: String], defaultTemplate: String?) {
    self.core = core
    self.specialTokens = specialTokens
    self.chatTemplates = chatTemplates
    chatTemplate = defaultTemplate
    vocabularySize =
      switch core {
      case .pipeline(let pipeline): pipeline.vocabularySize
      case .sentencePiece(let tokenizer): tokenizer.vocabularySize
      }
  }

  private func withWorkspace<T>(_ body: (inout Workspace) throws -> T) rethrows -> T {
    var workspace = workspaces.withLock { $0.popLast() } ?? Workspace()
    defer { workspaces.withLock { if $0.count < 8 { $0.append(workspace) } } }
    return try body(&workspace)
  }

  /// Token ids of a text.
  /// - Parameter addSpecialTokens: add what the template of the tokenizer adds, such as a token that begins the sequence.
  /// - Throws: `TokenizerError` where a character has no token and no fallback, or a pattern of the file needs too many steps.
  public func encode(_ text: String, addSpecialTokens: Bool = true) throws -> [Int] {
    try encode([text], addSpecialTokens, asText: false, detailed: false).ids
  }

  /// Token ids of a text with offsets, tokens and type ids. Slower than the plain ids.
  /// - Parameter specialTokensAsText: special tokens that stand in the text are tokenized like any other text; for text from outside.
  public func encode(_ text: String, addSpecialTokens: Bool, specialTokensAsText: Bool) throws -> Encoding {
    try encode([text], addSpecialTokens, asText: specialTokensAsText, detailed: true)
  }

  /// Token ids of a text, without offsets, in which special tokens are text like any other.
  public func encodeIDs(_ text: String, addSpecialTokens: Bool, specialTokensAsText: Bool) throws -> [Int] {
    try encode([text], addSpecialTokens, asText: specialTokensAsText, detailed: false).ids
  }

  /// Encodes two texts as one sequence, as the template for pairs says.
  public func encodePair(
    _ first: String, _ second: String, addSpecialTokens: Bool = true, specialTokensAsText: Bool = false
  ) throws -> Encoding {
    try encode([first, second], addSpecialTokens, asText: specialTokensAsText, detailed: true)
  }

  private func encode(_ texts: [String], _ addSpecial: Bool, asText: Bool, detailed: Bool) throws -> Encoding {
    try withWorkspace { workspace in
      var parts: [Encoding] = []
      for (index, text) in texts.enumerated() {
        var text = text
        var part = try text.withUTF8 { bytes in
          guard bytes.count < Int32.max / 4 else { throw TokenizerError.encoding("a text of \(bytes.count) bytes is too long; cut it") }
          return switch core {
          case .pipeline(let pipeline): try pipeline.encode(bytes, asText: asText, detailed: detailed, &workspace)
          case .sentencePiece(let tokenizer): try tokenizer.encode(bytes, asText: asText, detailed: detailed, &workspace)
          }
        }
        part.setType(index)
        parts.append(part)
      }
      let processed: [Encoding] =
        switch core {
        case .pipeline(let pipeline): pipeline.postProcessor?.apply(parts, addSpecial: addSpecial, detailed: detailed) ?? parts
        case .sentencePiece(let tokenizer): tokenizer.template.apply(parts, addSpecial: addSpecial, detailed: detailed)
        }
      guard processed.count > 1 else { return processed.first ?? Encoding() }
      var whole = Encoding()
      for part in processed { whole.append(part) }
      return whole
    }
  }

  /// The text of token ids. Ids without a token are left out.
  /// - Parameter skipSpecialTokens: leave special tokens out.
  public func decode(_ ids: [Int], skipSpecialTokens: Bool = false) -> String {
    switch core {
    case .pipeline(let pipeline): pipeline.decode(ids, skipSpecial: skipSpecialTokens)
    case .sentencePiece(let tokenizer): tokenizer.decode(ids, skipSpecial: skipSpecialTokens)
    }
  }

  /// The id of a token as the vocabulary writes it; nil for an unknown token.
  public func id(of token: String) -> Int? {
    switch core {
    case .pipeline(let pipeline): pipeline.id(Array(token.utf8))
    case .sentencePiece(let tokenizer): tokenizer.id(Array(token.utf8))
    }
  }

  /// The token of an id as the vocabulary writes it; nil for an unknown id.
  public func token(of id: Int) -> String? {
    switch core {
    case .pipeline(let pipeline): pipeline.token(id).map { String(decoding: $0, as: UTF8.self) }
    case .sentencePiece(let tokenizer): tokenizer.token(id).map { String(decoding: $0, as: UTF8.self) }
    }
  }

  /// A detokenizer for tokens that come one by one.
  /// - Parameter skipSpecialTokens: leave special tokens out of the text.
  public func makeStream(skipSpecialTokens: Bool = false) -> DecodingStream {
    DecodingStream(self, skipSpecialTokens: skipSpecialTokens)
  }
}
