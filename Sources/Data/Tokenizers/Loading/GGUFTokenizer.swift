import Foundation
import SwiftletFormats

/// The tokenizer of a GGUF file, told as the files of a folder in Hugging Face layout.
struct GGUFTokenizer {
  /// `tokenizer.json` or `tokenizer.model`, and `tokenizer_config.json`.
  let folder: TokenizerFolder

  /// - Throws: where the file has no tokenizer, or one of a kind that is not known.
  init(_ path: String) throws {
    let tables = try GGUFVocabulary(GGUFFile(path))
    var files = ["tokenizer_config.json": Array(JSON.object(tables.configuration).serialized().utf8)]
    switch tables.model {
    case "gpt2": files["tokenizer.json"] = Array(try tables.byteLevel().serialized().utf8)
    case "llama": files["tokenizer.model"] = tables.sentencePiece()
    default: throw tables.error("model", "one of gpt2, llama is wanted, found \"\(tables.model)\"")
    }
    folder = TokenizerFolder(path: path, files: files)
  }
}

extension Tokenizer {
  /// What llama.cpp calls the tokenizer of a model that has none.
  public static let noneInGGUF = "no_vocab"

  /// Whether a GGUF file holds a tokenizer.
  /// - Throws: where the file cannot be read.
  public static func isInGGUF(_ path: String) throws -> Bool {
    guard let model = try GGUFFile(path)["tokenizer.ggml.model"] else { return false }
    return model.string.map { ![noneInGGUF, "none"].contains($0) } ?? true
  }

  /// The tokenizer of a GGUF file as the files of a folder in Hugging Face layout, by name; none where it has none.
  /// - Throws: `TokenizerError` for a kind that is not known.
  public static func files(ofGGUF path: String) throws -> [(name: String, bytes: [UInt8])] {
    guard try isInGGUF(path) else { return [] }
    return (try GGUFTokenizer(path).folder.files ?? [:]).sorted { $0.key < $1.key }.map { (name: $0.key, bytes: $0.value) }
  }
}

/// The keys `tokenizer.*` of a GGUF file.
struct GGUFVocabulary {
  let model: String
  private let file: GGUFFile
  private let tokens: [String]
  private let types: [Int]

  init(_ file: GGUFFile) throws {
    self.file = file
    func error(_ key: String, _ message: String) -> TokenizerError {
      TokenizerError(file: file.path, field: "tokenizer.ggml." + key, message)
    }
    guard let model = file["tokenizer.ggml.model"]?.string else { throw error("model", "missing: the file holds no tokenizer") }
    guard let tokens = file["tokenizer.ggml.tokens"]?.array?.strings else { throw error("tokens", "texts in UTF-8 are wanted") }
    guard !tokens.isEmpty, tokens.count <= TokenTable.idLimit else {
      throw error("tokens", "1 to \(TokenTable.idLimit) tokens are wanted, found \(tokens.count)")
    }
    var types = Array(repeating: 1, count: tokens.count)
    if let given = file["tokenizer.ggml.token_type"] {
      guard let list = given.array, list.count == tokens.count, let ints = list.ints, ints.allSatisfy((0...6).contains) else {
        throw error("token_type", "\(tokens.count) numbers from 0 to 6, one for each token, are wanted, found \(Self.kind(given))")
      }
      types = ints
    }
    try Self.checkKinds(file, tokens: tokens.count, error)
    (self.model, self.tokens, self.types) = (model, tokens, types)
  }

  private static func kind(_ value: GGUFValue) -> String {
    value.array.map { "\($0.count) of kind \($0.kind)" } ?? "\(value.kind)"
  }

  /// Values of another kind than the key's would be passed over later; they are refused here.
  private static func checkKinds(_ file: GGUFFile, tokens: Int, _ error: (String, String) -> TokenizerError) throws {
    func check(_ key: String, _ wanted: String, _ isRight: (GGUFValue) -> Bool) throws {
      guard let value = file["tokenizer.ggml." + key], !isRight(value) else { return }
      throw error(key, "\(wanted) is wanted, found \(kind(value))")
    }
    for role in ["bos", "eos", "unknown", "padding", "eot"] { try check(role + "_token_id", "a whole number") { $0.int != nil } }
    for key in ["add_bos_token", "add_eos_token", "add_space_prefix", "remove_extra_whitespaces"] {
      try check(key, "a Boolean") { $0.bool != nil }
    }
    try check("pre", "text") { $0.string != nil }
    try check("merges", "an array of texts in UTF-8") { $0.array?.strings != nil }
    try check("scores", "an array of \(tokens) finite numbers, one for each token,") { value in
      value.array?.doubles.map { $0.count == tokens && $0.allSatisfy(\.isFinite) } ?? false
    }
    if let template = file["tokenizer.chat_template"], template.string == nil {
      throw TokenizerError(file: file.path, field: "tokenizer.chat_template", "text is wanted, found \(kind(template))")
    }
  }

  func error(_ key: String, _ message: String) -> TokenizerError {
    TokenizerError(file: file.path, field: "tokenizer.ggml." + key, message)
  }

  private func value(_ key: String) -> GGUFValue? { file["tokenizer.ggml." + key] }

  private func token(_ key: String) -> (id: Int, text: String)? {
    value(key)?.int.flatMap { tokens.indices.contains($0) ? ($0, tokens[$0]) : nil }
  }

  private var addsBOS: Bool { value("add_bos_token")?.bool ?? (model == "llama" || pre == "llama-bpe") }
  private var pre: String { value("pre")?.string ?? "default" }

  /// `tokenizer_config.json`.
  var configuration: JSONObject {
    var config = JSONObject([("add_bos_token", .bool(addsBOS)), ("add_eos_token", .bool(value("add_eos_token")?.bool ?? false))])
    for (role, key) in [("bos_token", "bos"), ("eos_token", "eos"), ("unk_token", "unknown"), ("pad_token", "padding")] {
      config[role] = token(key + "_token_id").map { .string($0.text) }
    }
    config["chat_template"] = file["tokenizer.chat_template"]?.string.map { .string($0) }
    return config
  }

  /// `tokenizer.json` of a byte-level BPE tokenizer.
  func byteLevel() throws -> JSON {
    guard let split = GGUFPreTokenizer.all.first(where: { $0.names.contains(pre) }) else {
      let known = GGUFPreTokenizer.all.flatMap(\.names).joined(separator: ", ")
      throw error("pre", "one of \(known) is wanted, found \"\(pre)\"")
    }
    guard let merges = value("merges")?.array?.strings else { throw error("merges", "texts are wanted") }
    var vocabulary = JSONObject()
    var added: [JSON] = []
    for (id, token) in tokens.enumerated() {
      // All of them: readers number an added token that is not in the vocabulary behind its end, whatever its id says.
      vocabulary[token] = .int(id)
      if isAdded(types[id]) { added.append(addedToken(token, id)) }
    }
    let bpe = JSONObject([
      ("type", .string("BPE")), ("vocab", .object(vocabulary)), ("merges", .array(merges.map { .string($0) })),
      ("ignore_merges", .bool(split.ignoresMerges)),
    ])
    return .object(
      JSONObject([
        ("version", .string("1.0")), ("added_tokens", .array(added)), ("normalizer", split.normalizer), ("pre_tokenizer", split.json),
        ("post_processor", processor), ("decoder", GGUFPreTokenizer.byteLevel(usesRegex: true)), ("model", .object(bpe)),
      ]))
  }

  /// Whether a token of this type is found in text before words are cut: unknown, control and user-defined ones.
  private func isAdded(_ type: Int) -> Bool { (2...4).contains(type) }

  /// An element of `added_tokens`, with all that the tokenizers package asks for.
  private func addedToken(_ token: String, _ id: Int) -> JSON {
    let flags = ["single_word", "lstrip", "rstrip", "normalized"].map { ($0, JSON.bool(false)) }
    return .object(
      JSONObject([("id", .int(id)), ("content", .string(token))] + flags + [("special", .bool(types[id] == 3))]))
  }

  /// Puts the first token before a text where the file says so.
  private var processor: JSON {
    guard addsBOS, let bos = token("bos_token_id") else { return .null }
    func part(_ kind: String, _ id: String, _ type: Int) -> JSON {
      .object(JSONObject([(kind, .object(JSONObject([("id", .string(id)), ("type_id", .int(type))])))]))
    }
    func around(_ text: String, _ type: Int) -> [JSON] { [part("SpecialToken", bos.text, type), part("Sequence", text, type)] }
    let special = JSONObject([
      ("id", .string(bos.text)), ("ids", .array([.int(bos.id)])), ("tokens", .array([.string(bos.text)])),
    ])
    return .object(
      JSONObject([
        ("type", .string("TemplateProcessing")), ("single", .array(around("A", 0))), ("pair", .array(around("A", 0) + around("B", 1))),
        ("special_tokens", .object(JSONObject([(bos.text, .object(special))]))),
      ]))
  }

  /// `tokenizer.model`: the pieces with their scores, BPE over them.
  func sentencePiece() -> [UInt8] {
    let scores = value("scores")?.array?.doubles ?? []
    var bytes: [UInt8] = []
    for (id, token) in tokens.enumerated() {
      var piece = ProtobufBytes()
      piece.add(1, text: Array(token.utf8))
      piece.add(2, float: scores.indices.contains(id) ? Float(scores[id]) : 0)
      piece.add(3, integer: types[id])
      var outer = ProtobufBytes()
      outer.add(1, text: piece.bytes)
      bytes += outer.bytes
    }
    var trainer = ProtobufBytes()
    trainer.add(3, integer: 2)
    if types.contains(6) { trainer.add(35, integer: 1) }
    for (field, key) in [(41, "bos_token_id"), (42, "eos_token_id"), (43, "padding_token_id")] {
      if let id = value(key)?.int { trainer.add(field, integer: id) }
    }
    var normalizer = ProtobufBytes()
    normalizer.add(3, integer: value("add_space_prefix")?.bool ?? true ? 1 : 0)
    normalizer.add(4, integer: value("remove_extra_whitespaces")?.bool ?? false ? 1 : 0)
    var outer = ProtobufBytes()
    outer.add(2, text: trainer.bytes)
    outer.add(3, text: normalizer.bytes)
    return bytes + outer.bytes
  }
}

/// Writes fields of a protobuf message.
struct ProtobufBytes {
  private(set) var bytes: [UInt8] = []

  private mutating func number(_ value: UInt64) {
    var rest = value
    while rest > 0x7F {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func add(_ field: Int, integer: Int) {
    number(UInt64(field) << 3)
    number(UInt64(bitPattern: Int64(integer)))
  }

  mutating func add(_ field: Int, text: [UInt8]) {
    number(UInt64(field) << 3 | 2)
    number(UInt64(text.count))
    bytes += text
  }

  mutating func add(_ field: Int, float: Float) {
    number(UInt64(field) << 3 | 5)
    withUnsafeBytes(of: float.bitPattern.littleEndian) { bytes += Array($0) }
  }
}
