/// A tokenized text. All arrays are equally long.
public struct Encoding: Hashable, Sendable {
  /// Token ids.
  public internal(set) var ids: [Int] = []
  /// Which sequence each token belongs to, as the model is told: 0, or 1 for the second of a pair.
  public internal(set) var typeIDs: [Int] = []
  /// Where each token stands in the text, in code points; `0..<0` for tokens that the template adds.
  public internal(set) var offsets: [Range<Int>] = []
  /// The tokens as the vocabulary writes them.
  public internal(set) var tokens: [String] = []
  /// Whether the template added the token.
  public internal(set) var isTemplate: [Bool] = []

  /// Number of tokens.
  public var count: Int { ids.count }

  mutating func append(_ other: Encoding) {
    ids += other.ids
    typeIDs += other.typeIDs
    offsets += other.offsets
    tokens += other.tokens
    isTemplate += other.isTemplate
  }

  mutating func setType(_ type: Int) { typeIDs = [Int](repeating: type, count: ids.count) }

  /// One token of the template.
  init(id: Int, token: String, type: Int) {
    ids = [id]
    typeIDs = [type]
    offsets = [0..<0]
    tokens = [token]
    isTemplate = [true]
  }

  init() {}
}
