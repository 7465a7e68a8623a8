import Foundation
import SwiftletFormats

extension Tokenizer {
  /// The tokenizer files of a folder told as the metadata of a GGUF file, with the chat template; of another GGUF file what it says itself.
  /// - Parameter vocabulary: number of rows of the model's table; ids that the tokenizer lacks become unused tokens.
  /// - Throws: `TokenizerError` for a kind of tokenizer that llama.cpp does not have.
  public static func ggufMetadata(folder path: String, vocabulary: Int) throws -> [(String, GGUFValue)] {
    if GGUFFile.isAt(path) { return try metadata(ofGGUF: path, vocabulary: vocabulary) }
    let folder = TokenizerFolder(path: path)
    let tokenizer = try load(folder: path)
    var table = GGUFTokenTable(count: vocabulary)
    var pairs: [(String, GGUFValue)]
    if let bytes = try folder.bytes("tokenizer.model"), !Tiktoken.matches(bytes) {
      pairs = try table.fill(SentencePieceFile(bytes, file: "tokenizer.model"), tokenizer)
    } else if let json = try folder.json("tokenizer.json") {
      pairs = try table.fill(json)
    } else {
      throw TokenizerError(file: path, field: "", "no tokenizer.json and no tokenizer.model is in this folder")
    }
    pairs += [("tokenizer.ggml.tokens", .array(GGUFArray(table.tokens))), ("tokenizer.ggml.token_type", .array(GGUFArray(table.types)))]
    let special = tokenizer.specialTokens
    for (key, token) in [("bos", special.bos), ("eos", special.eos), ("padding", special.pad), ("unknown", special.unk)] {
      if let id = token?.id { pairs.append(("tokenizer.ggml.\(key)_token_id", .uint32(UInt32(clamping: id)))) }
    }
    // The end of a turn, where it is not the end of a text.
    if let turn = special.stopCandidates.first(where: { $0 != special.eos?.id }) {
      pairs.append(("tokenizer.ggml.eot_token_id", .uint32(UInt32(clamping: turn))))
    }
    pairs.append(("tokenizer.ggml.add_bos_token", .bool(try tokenizer.addsBOS())))
    pairs.append(("tokenizer.ggml.add_eos_token", .bool(try special.eos?.id != nil && tokenizer.encode("a").last == special.eos?.id)))
    if let template = tokenizer.chatTemplate { pairs.append(("tokenizer.chat_template", .string(template))) }
    return pairs
  }

  /// Whether every text is begun with the token that begins a sequence: llama.cpp and its kin then put it there themselves.
  public func addsBOS() throws -> Bool { try specialTokens.bos?.id != nil && encode("a").first == specialTokens.bos?.id }

  private static func metadata(ofGGUF path: String, vocabulary: Int) throws -> [(String, GGUFValue)] {
    let file = try GGUFFile(path)
    let count = file["tokenizer.ggml.tokens"]?.array?.count ?? 0
    guard count == vocabulary else {
      throw TokenizerError(
        file: path, field: "tokenizer.ggml.tokens", "\(vocabulary) tokens are wanted, one for each row of the model's table, found \(count)"
      )
    }
    return file.header.metadata.filter { $0.key.hasPrefix("tokenizer.") }.map { ($0.key, $0.value) }
  }
}

/// Tokens by id with llama.cpp's types: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
private struct GGUFTokenTable {
  private(set) var tokens: [String]
  private(set) var types: [Int32]

  init(count: Int) {
    tokens = (0..<count).map { "[PAD\($0)]" }
    types = Array(repeating: 5, count: count)
  }

  private mutating func set(_ id: Int, _ text: String, _ type: Int32, _ file: String) throws {
    guard tokens.indices.contains(id) else {
      throw TokenizerError(file: file, field: "", "token \(id) is outside of the model's table of \(tokens.count)")
    }
    (tokens[id], types[id]) = (text, type)
  }

  mutating func fill(_ file: SentencePieceFile, _ tokenizer: Tokenizer) throws -> [(String, GGUFValue)] {
    guard file.kind == .bpe else {
      throw TokenizerError(file: file.file, field: "trainer_spec.model_type", "BPE is wanted: llama.cpp reads others otherwise")
    }
    var scores = [Float](repeating: -10_000, count: tokens.count)
    for (id, piece) in file.pieces.enumerated() {
      try set(id, String(decoding: piece.text, as: UTF8.self), Int32(piece.type.rawValue), file.file)
      scores[id] = piece.score
    }
    for id in tokenizer.specialTokens.ids where tokens.indices.contains(id) && id >= file.pieces.count {
      if let text = tokenizer.token(of: id) { try set(id, text, 3, file.file) }
    }
    return [
      ("tokenizer.ggml.model", .string("llama")), ("tokenizer.ggml.pre", .string("default")),
      ("tokenizer.ggml.scores", .array(GGUFArray(scores))), ("tokenizer.ggml.add_space_prefix", .bool(file.normalization.addsPrefix)),
      ("tokenizer.ggml.remove_extra_whitespaces", .bool(file.normalization.removesExtraSpaces)),
    ]
  }

  mutating func fill(_ json: Field) throws -> [(String, GGUFValue)] {
    let model = try json.required("model")
    guard model.json["type"]?.string ?? "BPE" == "BPE", let vocabulary = model.json["vocab"]?.object else {
      throw model.error("byte-level BPE is wanted, found \(model.json["type"]?.string ?? "another kind")")
    }
    guard let pre = GGUFPreTokenizer.name(of: json.json) else {
      throw json.error("llama.cpp has no name for this pre_tokenizer that is known here")
    }
    for (token, id) in vocabulary { try set(id.int ?? -1, token, 1, json.file) }
    for token in json.json["added_tokens"]?.array ?? [] {
      try set(token["id"]?.int ?? -1, token["content"]?.string ?? "", token["special"]?.bool == true ? 3 : 4, json.file)
    }
    let merges = (model.json["merges"]?.array ?? []).compactMap { merge in
      merge.string ?? merge.array.map { $0.compactMap(\.string).joined(separator: " ") }
    }
    return [
      ("tokenizer.ggml.model", .string("gpt2")), ("tokenizer.ggml.pre", .string(pre)), ("tokenizer.ggml.merges", .array(GGUFArray(merges))),
    ]
  }
}

extension GGUFPreTokenizer {
  /// llama.cpp's name of the way a `tokenizer.json` cuts words; nil where it has none.
  static func name(of json: JSON) -> String? {
    let outer = json["pre_tokenizer"]
    let steps = outer?["pretokenizers"]?.array ?? outer.map { [$0] } ?? []
    guard let bytes = steps.last, bytes["type"]?.string == "ByteLevel", bytes["add_prefix_space"]?.bool != true else { return nil }
    let patterns = steps.filter { $0["type"]?.string == "Split" }.map { $0["pattern"]?["Regex"]?.string }
    let digits = steps.contains { $0["type"]?.string == "Digits" && $0["individual_digits"]?.bool == true }
    let usesOwn = bytes["use_regex"]?.bool ?? true
    guard patterns.count + (digits ? 1 : 0) + 1 == steps.count, patterns.count <= 1 else { return nil }
    let found = all.filter { known in
      known.pattern == (patterns.first ?? nil) && known.splitsDigits == digits && usesOwn == (known.pattern == nil)
    }
    let ignoresMerges = json["model"]?["ignore_merges"]?.bool ?? false
    return (found.first { $0.ignoresMerges == ignoresMerges } ?? found.first)?.names.first
  }
}
