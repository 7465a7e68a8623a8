import SwiftletFormats

/// What `tokenizer_config.json` and its companions say.
struct TokenizerConfiguration {
  /// Special tokens by key (`bos_token` …).
  private(set) var named: [String: String] = [:]
  private(set) var additional: [String] = []
  /// Tokens with ids, from `added_tokens_decoder` or `added_tokens.json`.
  private(set) var added: [AddedToken] = []
  private(set) var addsBOS: Bool?
  private(set) var addsEOS: Bool?
  private(set) var tokenizerClass = ""
  private(set) var chatTemplates: [String: String] = [:]

  static let roles = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]

  init() {}

  init(_ folder: TokenizerFolder) throws {
    // The map is older than the configuration, which has the last word.
    if let map = try folder.json("special_tokens_map.json") { try readTokens(map) }
    if let map = try folder.json("added_tokens.json"), let object = map.json.object {
      for key in object.keys {
        added.append(AddedToken(content: Array(key.utf8), id: try map.required(key).tokenID(), special: false))
      }
    }
    if let configuration = try folder.json("tokenizer_config.json") {
      try readTokens(configuration)
      addsBOS = try configuration.optional("add_bos_token")?.bool()
      addsEOS = try configuration.optional("add_eos_token")?.bool()
      tokenizerClass = try configuration.optional("tokenizer_class")?.string() ?? ""
      try readAdded(configuration)
      try readTemplates(configuration)
    }
    try readTemplateFiles(folder)
  }

  /// A token is a string or an object with `content`.
  private static func text(_ field: Field) throws -> String {
    try field.json.string ?? field.required("content").string()
  }

  private mutating func readTokens(_ field: Field) throws {
    for role in Self.roles {
      if let token = try field.optional(role) { named[role] = try Self.text(token) }
    }
    for key in ["additional_special_tokens", "extra_special_tokens"] {
      guard let list = try field.optional(key) else { continue }
      if list.json.array != nil {
        additional += try list.array().map(Self.text)
      } else if let object = list.json.object {
        for name in object.keys { named[name] = try Self.text(try list.required(name)) }
      }
    }
  }

  private mutating func readAdded(_ field: Field) throws {
    guard let decoder = try field.optional("added_tokens_decoder"), let object = decoder.json.object else { return }
    added = try object.keys.map { key in
      guard let id = Int(key), (0...TokenTable.idLimit).contains(id) else {
        throw decoder.error("the key \"\(key)\" is no id of 0 to \(TokenTable.idLimit)")
      }
      return try AddedToken(try decoder.required(key), id: id)
    }
  }

  private mutating func readTemplates(_ field: Field) throws {
    guard let template = try field.optional("chat_template") else { return }
    if let text = template.json.string {
      chatTemplates["default"] = text
      return
    }
    for entry in try template.array() {
      chatTemplates[try entry.required("name").string()] = try entry.required("template").string()
    }
  }

  /// Files win over the configuration, as in `transformers`.
  private mutating func readTemplateFiles(_ folder: TokenizerFolder) throws {
    if let text = try folder.text("chat_template.jinja") { chatTemplates["default"] = text }
    if chatTemplates.isEmpty, let json = try folder.json("chat_template.json") { try readTemplates(json) }
    for inner in ["additional_chat_templates", "chat_templates"] {
      for name in folder.names(in: inner) where name.hasSuffix(".jinja") {
        if let text = try folder.text(inner + "/" + name) { chatTemplates[String(name.dropLast(6))] = text }
      }
    }
  }

  /// What a SentencePiece model adds: its configuration says so, else its class does.
  func template(bos: Int, eos: Int, token: (Int) -> String?) -> PostProcessor {
    let isT5 = tokenizerClass.hasPrefix("T5")
    func part(_ wanted: Bool, _ id: Int, _ type: Int) -> [PostProcessor.TemplatePart] {
      guard wanted, id >= 0, let text = token(id) else { return [] }
      return [.special(ids: [id], tokens: [text], type: type)]
    }
    func around(_ index: Int) -> [PostProcessor.TemplatePart] {
      part(addsBOS ?? !isT5, bos, index) + [.sequence(index, type: index)] + part(addsEOS ?? isT5, eos, index)
    }
    return .template(single: around(0), pair: around(0) + around(1))
  }

  func specialTokens(_ core: Tokenizer.Core) -> SpecialTokens {
    func id(_ text: String) -> Int? {
      switch core {
      case .pipeline(let pipeline): pipeline.id(Array(text.utf8))
      case .sentencePiece(let tokenizer): tokenizer.id(Array(text.utf8))
      }
    }
    func token(_ text: String) -> SpecialTokens.Token { .init(text: text, id: id(text)) }
    var named = named
    var tokens = SpecialTokens()
    switch core {
    case .pipeline(let pipeline): tokens.ids = Set(pipeline.added.tokens.filter(\.special).map(\.id))
    case .sentencePiece(let tokenizer):
      for (id, piece) in tokenizer.file.pieces.enumerated() where piece.type == .control || piece.type == .unknown { tokens.ids.insert(id) }
      tokens.ids.formUnion(tokenizer.added.tokens.filter(\.special).map(\.id))
      let roles = [("bos_token", tokenizer.file.bosID), ("eos_token", tokenizer.file.eosID), ("unk_token", tokenizer.file.unknownID)]
      for (role, id) in roles + [("pad_token", tokenizer.file.padID)] where named[role] == nil {
        if tokenizer.file.pieces.indices.contains(id) { named[role] = String(decoding: tokenizer.file.pieces[id].text, as: UTF8.self) }
      }
    }
    tokens.named = named
    tokens.bos = named["bos_token"].map(token)
    tokens.eos = named["eos_token"].map(token)
    tokens.pad = named["pad_token"].map(token)
    tokens.unk = named["unk_token"].map(token)
    let others = named.keys.filter { !["bos_token", "eos_token", "pad_token", "unk_token"].contains($0) }.sorted()
    tokens.additional = (others.compactMap { named[$0] } + additional).map(token)
    var stops: [Int] = []
    for text in [tokens.eos?.text].compactMap(\.self) + SpecialTokens.turnEnds {
      // An ordinary word that looks like an end must not stop an answer.
      if let id = id(text), !stops.contains(id), text == tokens.eos?.text || tokens.ids.contains(id) { stops.append(id) }
    }
    tokens.stopCandidates = stops
    return tokens
  }
}
