/// Rows of `tokenize`: text to ids and back.
public struct TokenizeRows {
  private let tokenizer: Tokenizer
  private let addSpecialTokens: Bool
  private let specialAsText: Bool
  private let offsets: Bool

  /// - Parameters:
  ///   - addSpecialTokens: adds the tokens that begin and end a sequence; in decoding, leaves special tokens in the text.
  ///   - specialAsText: treats special tokens that stand in the text as plain text.
  ///   - offsets: also gives the place of every token, in Unicode code points.
  public init(_ tokenizer: Tokenizer, addSpecialTokens: Bool, specialAsText: Bool, offsets: Bool) {
    self.tokenizer = tokenizer
    self.addSpecialTokens = addSpecialTokens
    self.specialAsText = specialAsText
    self.offsets = offsets
  }

  /// Reads `{"text"}`, with `"pair"` for two sequences.
  public static func checkText(_ row: JSONObject) throws -> JSONObject {
    _ = try row.requireString("text")
    if row["pair"] != nil { _ = try row.requireString("pair") }
    return row
  }

  /// Reads `{"ids"}`.
  public static func checkIDs(_ row: JSONObject) throws -> JSONObject {
    _ = try row.requireIDs("ids")
    return row
  }

  /// `{"index","ids"}`; `offsets` and, for a pair, `type_ids` where asked for.
  public func encode(_ index: Int, _ row: JSONObject) throws -> JSON {
    let text = try row.requireString("text")
    var answer = JSONObject([("index", .int(index))])
    if row["pair"] == nil && !offsets {
      let ids =
        specialAsText
        ? try tokenizer.encodeIDs(text, addSpecialTokens: addSpecialTokens, specialTokensAsText: true)
        : try tokenizer.encode(text, addSpecialTokens: addSpecialTokens)
      answer["ids"] = .array(ids.map(JSON.int))
      return .object(answer)
    }
    let encoding =
      row["pair"] == nil
      ? try tokenizer.encode(text, addSpecialTokens: addSpecialTokens, specialTokensAsText: specialAsText)
      : try tokenizer.encodePair(
        text, try row.requireString("pair"), addSpecialTokens: addSpecialTokens, specialTokensAsText: specialAsText)
    answer["ids"] = .array(encoding.ids.map(JSON.int))
    if row["pair"] != nil { answer["type_ids"] = .array(encoding.typeIDs.map(JSON.int)) }
    if offsets { answer["offsets"] = .array(encoding.offsets.map { .array([.int($0.lowerBound), .int($0.upperBound)]) }) }
    return .object(answer)
  }

  /// `{"index","text"}`.
  public func decode(_ index: Int, _ row: JSONObject) throws -> JSON {
    let text = tokenizer.decode(try row.requireIDs("ids").map(Int.init), skipSpecialTokens: !addSpecialTokens)
    return .object(JSONObject([("index", .int(index)), ("text", .string(text))]))
  }
}
