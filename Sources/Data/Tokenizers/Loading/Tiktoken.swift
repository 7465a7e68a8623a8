import Foundation

/// Llama 3's `tokenizer.model`: a line for each token, base64 and rank.
enum Tiktoken {
  /// Whether the bytes look like such a file rather than protobuf.
  static func matches(_ bytes: [UInt8]) -> Bool {
    guard let end = bytes.prefix(4096).firstIndex(of: 10) else { return false }
    let parts = bytes[..<end].split(separator: 0x20)
    return parts.count == 2 && parts[1].allSatisfy { $0 >= 0x30 && $0 <= 0x39 } && Data(base64Encoded: Data(parts[0])) != nil
  }

  private static let pattern =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

  /// The pipeline of Llama 3 over the file's tokens.
  /// - Parameter added: special tokens of the configuration; where there are none, those of Llama 3 stand after the vocabulary.
  static func pipeline(_ bytes: [UInt8], file: String, added: [AddedToken], addsBOS: Bool) throws -> Pipeline {
    let (table, tokens) = try read(bytes, file)
    var merges = MergeTable(capacity: tokens.count * 3)
    for (rank, token) in tokens.enumerated() where token.count > 1 {
      guard let id = table.id(ByteAlphabet.encode(token)) else { continue }
      for cut in 1..<token.count {
        guard let left = table.id(ByteAlphabet.encode(token[..<cut])), let right = table.id(ByteAlphabet.encode(token[cut...])) else {
          continue
        }
        merges.insert(left, right, rank: rank, id: id)
      }
    }
    let model = TokenModel.bpe(BPEModel(vocabulary: table, merges: merges, results: [], ignoresMerges: true))
    let special = try AddedTokens(exactly: added.isEmpty ? llama3Tokens(from: table.idCount) : added)
    var processor: PostProcessor?
    if addsBOS, let bos = special.id(Array("<|begin_of_text|>".utf8)) {
      let part = PostProcessor.TemplatePart.special(ids: [bos], tokens: ["<|begin_of_text|>"], type: 0)
      processor = .template(single: [part, .sequence(0, type: 0)], pair: [part, .sequence(0, type: 0), part, .sequence(1, type: 1)])
    }
    return Pipeline(
      normalizer: nil,
      preTokenizer: .sequence([
        .split(.regex(try RegexProgram(pattern)), .isolated, invert: false), .byteLevel(addPrefixSpace: false, usesRegex: false),
      ]),
      model: model, postProcessor: processor, decoder: .byteLevel, added: special)
  }

  private static func read(_ bytes: [UInt8], _ file: String) throws -> (TokenTable, [[UInt8]]) {
    var table = TokenTable()
    var tokens: [[UInt8]] = []
    for (index, line) in bytes.split(separator: 10).enumerated() {
      let parts = line.split(separator: 0x20)
      func failure(_ message: String) -> TokenizerError { TokenizerError(file: file, field: "line \(index + 1)", message) }
      guard parts.count == 2, let token = Data(base64Encoded: Data(parts[0])), !token.isEmpty else {
        throw failure("a token in base64 and its rank are wanted")
      }
      guard let rank = Int(String(decoding: parts[1], as: UTF8.self)), (0...TokenTable.idLimit).contains(rank) else {
        throw failure("a rank of 0 to \(TokenTable.idLimit) is wanted")
      }
      guard rank == tokens.count else { throw failure("rank \(tokens.count) is wanted, found \(rank)") }
      tokens.append(Array(token))
      table.insert(ByteAlphabet.encode(token), id: rank)
    }
    return (table, tokens)
  }

  private static func llama3Tokens(from first: Int) -> [AddedToken] {
    var names = [
      "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
      "<|reserved_special_token_2|>", "<|reserved_special_token_3|>", "<|start_header_id|>", "<|end_header_id|>",
      "<|reserved_special_token_4|>", "<|eot_id|>",
    ]
    for index in 5..<251 { names.append("<|reserved_special_token_\(index)|>") }
    return names.enumerated().map { AddedToken(content: Array($1.utf8), id: first + $0, special: true) }
  }
}
