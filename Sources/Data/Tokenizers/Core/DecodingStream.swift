/// Text from tokens that come one by one. Never gives half a character: bytes wait until the character is whole.
public struct DecodingStream: Sendable {
  private let tokenizer: Tokenizer
  private let skipSpecialTokens: Bool
  /// Tokens whose text may still change: those of the last text that was given, as context, then those that wait.
  private var ids: [Int] = []
  private var context = 0
  /// Bytes of text that `ids[..<context]` give.
  private var given: [UInt8] = []
  /// After so many tokens that give no whole character, their text is given as it is.
  private static let patience = 16

  init(_ tokenizer: Tokenizer, skipSpecialTokens: Bool) {
    self.tokenizer = tokenizer
    self.skipSpecialTokens = skipSpecialTokens
  }

  /// Takes the next token and gives the text that is certain now; often a word, sometimes nothing.
  public mutating func append(_ id: Int) -> String {
    ids.append(id)
    let text = Array(tokenizer.decode(ids, skipSpecialTokens: skipSpecialTokens).utf8)
    let isWaiting = text.count >= 3 && text.suffix(3).elementsEqual([0xEF, 0xBF, 0xBD]) && ids.count - context < Self.patience
    guard text.count > given.count, !isWaiting else { return "" }
    return give(text)
  }

  /// Gives what is left at the end of the tokens.
  public mutating func finish() -> String {
    let text = Array(tokenizer.decode(ids, skipSpecialTokens: skipSpecialTokens).utf8)
    guard text.count > given.count else { return "" }
    return give(text)
  }

  private mutating func give(_ text: [UInt8]) -> String {
    let new = String(decoding: text.dropFirst(given.count), as: UTF8.self)
    // What stands before the tokens just given no longer matters: they alone are the context of the next ones.
    ids.removeFirst(context)
    context = ids.count
    given = Array(tokenizer.decode(ids, skipSpecialTokens: skipSpecialTokens).utf8)
    return new
  }
}
