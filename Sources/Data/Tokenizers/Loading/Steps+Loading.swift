import Foundation

extension TextPattern {
  /// `{"String": …}` or `{"Regex": …}`.
  init(_ field: Field) throws {
    if let text = try field.optional("String") {
      self = .literal(try text.bytes())
    } else if let pattern = try field.optional("Regex") {
      do { self = .regex(try RegexProgram(pattern.string())) } catch let error as TokenizerError {
        throw error.file.isEmpty ? pattern.error(error.message) : error
      }
    } else {
      throw field.error("an object with \"String\" or \"Regex\" is wanted")
    }
  }
}

extension Field {
  /// The elements of a Sequence, whose nesting is limited by that of the JSON parser.
  func steps<T>(_ key: String, _ make: (Field) throws -> T) throws -> [T] { try required(key).array().map(make) }

  func unknownType(_ type: String) -> TokenizerError { error("the type \"\(type)\" is not known") }

  func choice<T: RawRepresentable<String>>(_ key: String, default value: T?) throws -> T {
    guard let field = try optional(key) else {
      guard let value else { return try required(key).fail() }
      return value
    }
    guard let choice = T(rawValue: try field.string()) else {
      throw field.error("\"\(try field.string())\" is not one of the known values")
    }
    return choice
  }

  private func fail<T>() throws -> T { throw error("a value is wanted") }
}

extension Normalizer {
  init(_ field: Field) throws {
    let type = try field.required("type").string()
    switch type {
    case "NFC", "NFD", "NFKC", "NFKD": self = .form(NormalizationForm(rawValue: type) ?? .nfc)
    case "Lowercase": self = .lowercase
    case "Strip": self = .strip(left: try field.required("strip_left").bool(), right: try field.required("strip_right").bool())
    case "StripAccents": self = .stripAccents
    case "Replace": self = .replace(try TextPattern(field.required("pattern")), with: try field.required("content").bytes())
    case "Prepend": self = .prepend(try field.required("prepend").bytes())
    case "Nmt": self = .nmt
    case "ByteLevel": self = .byteLevel
    case "Sequence": self = .sequence(try field.steps("normalizers", Normalizer.init))
    case "Precompiled":
      let map = try field.required("precompiled_charsmap")
      guard let blob = Data(base64Encoded: try map.string()) else { throw map.error("base64 is wanted") }
      do { self = .charsMap(try CharsMap(Array(blob))) } catch let error as TokenizerError { throw map.error(error.message) }
    case "Bert", "BertNormalizer":
      let lowercase = try field.required("lowercase").bool()
      self = .bert(
        cleanText: try field.required("clean_text").bool(), chinese: try field.required("handle_chinese_chars").bool(),
        stripAccents: try field.optional("strip_accents")?.bool() ?? lowercase, lowercase: lowercase)
    default: throw field.unknownType(type)
    }
  }
}

extension PreTokenizer {
  init(_ field: Field) throws {
    let type = try field.required("type").string()
    switch type {
    case "ByteLevel":
      self = .byteLevel(
        addPrefixSpace: try field.required("add_prefix_space").bool(), usesRegex: try field.bool("use_regex", default: true))
    case "Split":
      self = .split(
        try TextPattern(field.required("pattern")), try field.choice("behavior", default: nil),
        invert: try field.bool("invert", default: false))
    case "Metaspace":
      self = .metaspace(
        replacement: try field.required("replacement").scalar().value, try Self.prependScheme(field),
        split: try field.bool("split", default: true))
    case "Whitespace": self = .whitespace
    case "WhitespaceSplit": self = .whitespaceSplit
    case "BertPreTokenizer": self = .bert
    case "Punctuation": self = .punctuation(try field.choice("behavior", default: .isolated))
    case "Digits": self = .digits(individual: try field.required("individual_digits").bool())
    case "CharDelimiterSplit": self = .delimiter(try field.required("delimiter").scalar().value)
    case "UnicodeScripts": self = .unicodeScripts
    case "FixedLength": self = .fixedLength(try field.optional("length")?.int(in: 1...Int.max) ?? 5)
    case "Sequence": self = .sequence(try field.steps("pretokenizers", PreTokenizer.init))
    default: throw field.unknownType(type)
    }
  }

  static func prependScheme(_ field: Field) throws -> PrependScheme {
    let scheme: PrependScheme = try field.choice("prepend_scheme", default: .always)
    let isGiven = try field.optional("prepend_scheme") != nil
    guard try field.optional("add_prefix_space")?.bool() == false else { return scheme }
    guard scheme == .never || isGiven == false else {
      throw field.error("add_prefix_space is false, and prepend_scheme is \"\(scheme.rawValue)\": they contradict each other")
    }
    return .never
  }
}

extension PostProcessor {
  init(_ field: Field) throws {
    let type = try field.required("type").string()
    switch type {
    case "ByteLevel":
      self = .byteLevel(
        addPrefixSpace: try field.required("add_prefix_space").bool(), trimsOffsets: try field.required("trim_offsets").bool())
    case "BertProcessing": self = .bert(start: try Self.token(field, "cls"), end: try Self.token(field, "sep"))
    case "RobertaProcessing":
      self = .roberta(
        start: try Self.token(field, "cls"), end: try Self.token(field, "sep"),
        addPrefixSpace: try field.required("add_prefix_space").bool(), trimsOffsets: try field.required("trim_offsets").bool())
    case "TemplateProcessing":
      self = .template(
        single: try Self.template(field, "single", sequences: ["A"]), pair: try Self.template(field, "pair", sequences: ["A", "B"]))
    case "Sequence": self = .sequence(try field.steps("processors", PostProcessor.init))
    default: throw field.unknownType(type)
    }
  }

  private static func token(_ field: Field, _ key: String) throws -> (String, Int) {
    let pair = try field.required(key)
    let parts = try pair.array()
    guard parts.count == 2 else { throw pair.error("a pair of token and id is wanted, found \(parts.count) elements") }
    return (try parts[0].string(), try parts[1].tokenID())
  }

  private static func template(_ field: Field, _ key: String, sequences: [String]) throws -> [TemplatePart] {
    let tokens = try field.required("special_tokens")
    return try field.required(key).array().map { part in
      if let sequence = try part.optional("Sequence") {
        let id = try sequence.required("id")
        guard let index = sequences.firstIndex(of: try id.string()) else { throw id.error("a sequence of \(sequences) is wanted") }
        return .sequence(index, type: try sequence.required("type_id").int(in: 0...Int(UInt32.max)))
      }
      let special = try part.required("SpecialToken")
      let token = try tokens.required(try special.required("id").string())
      let ids = try token.required("ids").array().map { try $0.tokenID() }
      let texts = try token.required("tokens").array().map { try $0.string() }
      guard ids.count == texts.count else { throw token.error("\(ids.count) ids and \(texts.count) tokens: as many are wanted") }
      return .special(ids: ids, tokens: texts, type: try special.required("type_id").int(in: 0...Int(UInt32.max)))
    }
  }
}

extension TokenDecoder {
  init(_ field: Field) throws {
    let type = try field.required("type").string()
    switch type {
    case "ByteLevel": self = .byteLevel
    case "ByteFallback": self = .byteFallback
    case "Fuse": self = .fuse
    case "Strip":
      self = .strip(
        try field.required("content").scalar().value, start: try field.required("start").int(in: 0...Int.max),
        stop: try field.required("stop").int(in: 0...Int.max))
    case "Metaspace":
      self = .metaspace(try field.required("replacement").scalar().value, dropsFirst: try PreTokenizer.prependScheme(field) != .never)
    case "WordPiece": self = .wordPiece(prefix: try field.required("prefix").bytes(), cleanup: try field.required("cleanup").bool())
    case "BPEDecoder": self = .bpe(suffix: try field.required("suffix").bytes())
    case "CTC":
      self = .ctc(
        pad: try field.required("pad_token").bytes(), delimiter: try field.required("word_delimiter_token").bytes(),
        cleanup: try field.required("cleanup").bool())
    case "Replace": self = .replace(try TextPattern(field.required("pattern")), with: try field.required("content").bytes())
    case "Sequence": self = .sequence(try field.steps("decoders", TokenDecoder.init))
    default: throw field.unknownType(type)
    }
  }
}

extension AddedToken {
  /// An element of `added_tokens`, or a value of `added_tokens_decoder` under `id`.
  init(_ field: Field, id: Int? = nil) throws {
    self.init(
      content: try field.required("content").bytes(), id: try id ?? field.required("id").tokenID(),
      singleWord: try field.bool("single_word", default: false), stripsLeft: try field.bool("lstrip", default: false),
      stripsRight: try field.bool("rstrip", default: false), normalized: try field.bool("normalized", default: false),
      special: try field.bool("special", default: false))
  }
}
