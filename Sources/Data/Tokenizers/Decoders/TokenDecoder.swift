/// A step from tokens back to text. Named as in `tokenizer.json`.
indirect enum TokenDecoder: Sendable {
  case byteLevel
  case byteFallback
  case fuse
  case strip(UInt32, start: Int, stop: Int)
  case metaspace(UInt32, dropsFirst: Bool)
  case wordPiece(prefix: [UInt8], cleanup: Bool)
  case bpe(suffix: [UInt8])
  case ctc(pad: [UInt8], delimiter: [UInt8], cleanup: Bool)
  case replace(TextPattern, with: [UInt8])
  case sequence([TokenDecoder])

  func apply(_ tokens: [[UInt8]]) -> [[UInt8]] {
    switch self {
    case .byteLevel: [Self.valid(tokens.flatMap { ByteAlphabet.decode($0) ?? $0 })]
    case .byteFallback: Self.joinBytes(tokens)
    case .fuse: [Array(tokens.joined())]
    case .strip(let scalar, let start, let stop): tokens.map { Self.strip($0, scalar, start, stop) }
    case .metaspace(let mark, let dropsFirst):
      tokens.enumerated().map { index, token in
        var result: [UInt8] = []
        for c in token.scalars {
          if c != mark { result.append(scalar: c) } else if index > 0 || !dropsFirst { result.append(0x20) }
        }
        return result
      }
    case .wordPiece(let prefix, let cleanup): Self.wordPiece(tokens, prefix, cleanup)
    case .bpe(let suffix):
      tokens.enumerated().map { Self.replacing($1, suffix, $0 == tokens.count - 1 ? [] : [0x20]) }
    case .ctc(let pad, let delimiter, let cleanup): Self.ctc(tokens, pad, delimiter, cleanup)
    case .replace(let pattern, let content): tokens.map { Self.replacing($0, pattern, content) }
    case .sequence(let steps): steps.reduce(tokens) { $1.apply($0) }
    }
  }

  /// Invalid UTF-8 becomes U+FFFD.
  static func valid(_ bytes: [UInt8]) -> [UInt8] { Array(String(decoding: bytes, as: UTF8.self).utf8) }

  private static func byte(_ token: [UInt8]) -> UInt8? {
    guard token.count == 6, token.starts(with: [0x3C, 0x30, 0x78]), token[5] == 0x3E else { return nil }
    return UInt8(String(decoding: token[3..<5], as: UTF8.self), radix: 16)
  }

  private static func joinBytes(_ tokens: [[UInt8]]) -> [[UInt8]] {
    var result: [[UInt8]] = []
    var bytes: [UInt8] = []
    func flush() {
      guard !bytes.isEmpty else { return }
      if String(validating: bytes, as: UTF8.self) != nil {
        result.append(bytes)
      } else {
        result += repeatElement([0xEF, 0xBF, 0xBD], count: bytes.count)
      }
      bytes = []
    }
    for token in tokens {
      if let byte = byte(token) {
        bytes.append(byte)
      } else {
        flush()
        result.append(token)
      }
    }
    flush()
    return result
  }

  private static func strip(_ token: [UInt8], _ scalar: UInt32, _ start: Int, _ stop: Int) -> [UInt8] {
    let scalars = token.scalars
    let first = scalars.prefix(start).prefix { $0 == scalar }.count
    let last = scalars.suffix(stop).reversed().prefix { $0 == scalar }.count
    guard first > 0 || last > 0 else { return token }
    var result: [UInt8] = []
    for c in scalars.dropFirst(first).dropLast(min(last, max(scalars.count - first, 0))) { result.append(scalar: c) }
    return result
  }

  static func replacing(_ text: [UInt8], _ old: [UInt8], _ new: [UInt8]) -> [UInt8] {
    guard !old.isEmpty else { return text }
    return replacing(text, .literal(old), new)
  }

  private static func replacing(_ text: [UInt8], _ pattern: TextPattern, _ content: [UInt8]) -> [UInt8] {
    // A pattern that needs too many steps for a token leaves it as it is.
    guard let matches = try? pattern.matches(in: text), !matches.isEmpty else { return text }
    var result: [UInt8] = []
    var done = 0
    for match in matches {
      result += text[done..<match.lowerBound]
      result += content
      done = match.upperBound
    }
    return result + text[done...]
  }

  private static let contractions: [([UInt8], [UInt8])] = [
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"),
    (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
  ].map { (Array($0.utf8), Array($1.utf8)) }

  private static func cleaned(_ token: [UInt8]) -> [UInt8] {
    contractions.reduce(token) { replacing($0, $1.0, $1.1) }
  }

  private static func wordPiece(_ tokens: [[UInt8]], _ prefix: [UInt8], _ cleanup: Bool) -> [[UInt8]] {
    tokens.enumerated().map { index, token in
      var token = token
      if index > 0 { token = token.starts(with: prefix) ? Array(token.dropFirst(prefix.count)) : [0x20] + token }
      return cleanup ? cleaned(token) : token
    }
  }

  private static func ctc(_ tokens: [[UInt8]], _ pad: [UInt8], _ delimiter: [UInt8], _ cleanup: Bool) -> [[UInt8]] {
    var result: [[UInt8]] = []
    var last: [UInt8]?
    for token in tokens where token != last {
      last = token
      var text = replacing(token, pad, [])
      if cleanup { text = replacing(cleaned(text), delimiter, [0x20]) }
      if !text.isEmpty { result.append(text) }
    }
    return result
  }
}
