extension TokenModel {
  /// Reads the `model` of a `tokenizer.json`; files of old do not name its type.
  init(_ json: TokenizerJSON) throws {
    let field = try json.root.required("model")
    guard let vocabulary = json.vocabulary, field.json.object != nil else {
      _ = try field.required("vocab")
      throw field.error("an object with a vocabulary is wanted")
    }
    let isList = json.bytes[vocabulary.lowerBound] == 0x5B
    let type: String
    if let named = try field.type() {
      type = named
    } else if json.merges != nil {
      type = "BPE"
    } else if isList {
      type = "Unigram"
    } else {
      type = try field.optional("continuing_subword_prefix") != nil ? "WordPiece" : "WordLevel"
    }
    switch type {
    case "BPE": self = .bpe(try Self.bpe(field, json))
    case "Unigram": self = .unigram(try Self.unigram(field, json))
    case "WordPiece":
      self = .wordPiece(
        WordPieceModel(
          vocabulary: try Self.vocabulary(json), unknown: try field.required("unk_token").string(),
          prefix: try field.required("continuing_subword_prefix").bytes(),
          characterLimit: try field.required("max_input_chars_per_word").int(in: 0...Int.max)))
    case "WordLevel":
      self = .wordLevel(WordLevelModel(vocabulary: try Self.vocabulary(json), unknown: try field.required("unk_token").string()))
    default: throw field.error("the type \"\(type)\" is not known; BPE, Unigram, WordPiece and WordLevel are")
    }
  }

  private static func read<T>(_ json: TokenizerJSON, _ range: Range<Int>?, _ name: String, _ body: (inout TableReader) throws -> T) throws
    -> T
  {
    guard let range else { throw TokenizerError(file: json.file, field: "model." + name, "the field is missing") }
    return try json.bytes.withUnsafeBufferPointer { bytes in
      var reader = TableReader(bytes, range, file: json.file, field: "model." + name)
      return try body(&reader)
    }
  }

  private static func vocabulary(_ json: TokenizerJSON) throws -> TokenTable {
    try read(json, json.vocabulary, "vocab") { try $0.vocabulary() }
  }

  private static func unigram(_ field: Field, _ json: TokenizerJSON) throws -> UnigramModel {
    let (table, scores) = try read(json, json.vocabulary, "vocab") { try $0.scoredPieces() }
    var unknownID: Int32?
    if let unknown = try field.optional("unk_id") {
      guard !scores.isEmpty else { throw unknown.error("an unknown id needs a vocabulary that is not empty") }
      unknownID = Int32(try unknown.int(in: 0...scores.count - 1))
    }
    let pieces = scores.indices.map { (piece: table.token($0) ?? [], score: scores[$0]) }
    return UnigramModel(
      vocabulary: table, pieces: pieces, unknownID: unknownID, byteFallback: try field.bool("byte_fallback", default: false))
  }

  private static func bpe(_ field: Field, _ json: TokenizerJSON) throws -> BPEModel {
    let vocabulary = try vocabulary(json)
    let prefix = try field.optional("continuing_subword_prefix")?.bytes() ?? []
    var merges = MergeTable(capacity: (json.merges?.count ?? 0) / 16)
    var results: [Int32] = []
    var joined: [UInt8] = []
    try read(json, json.merges, "merges") { reader in
      try reader.merges { rank, a, b in
        func known(_ token: Bytes) throws -> Int32 {
          if let id = vocabulary.id(token) { return id }
          let text = String(decoding: token, as: UTF8.self)
          throw TokenizerError(file: json.file, field: "model.merges[\(rank)]", "the token \"\(text)\" is not in the vocabulary")
        }
        guard b.count >= prefix.count else { throw field.error("merges[\(rank)]: the second part is shorter than the prefix") }
        joined.removeAll(keepingCapacity: true)
        joined.append(contentsOf: a)
        joined.append(contentsOf: b.dropFirst(prefix.count))
        let (left, right) = (try known(a), try known(b))
        let result = try joined.withUnsafeBufferPointer(known)
        merges.insert(left, right, rank: rank, id: result)
        results.append(result)
      }
    }
    if let dropout = try field.optional("dropout"), (dropout.json.double ?? -1) < 0 || (dropout.json.double ?? 2) > 1 {
      throw dropout.error("a number of 0 to 1 is wanted")
    }
    return BPEModel(
      vocabulary: vocabulary, merges: merges, results: results, unknown: try field.optional("unk_token")?.string(), prefix: prefix,
      suffix: try field.optional("end_of_word_suffix")?.bytes() ?? [], fusesUnknown: try field.bool("fuse_unk", default: false),
      byteFallback: try field.bool("byte_fallback", default: false), ignoresMerges: try field.bool("ignore_merges", default: false))
  }
}
