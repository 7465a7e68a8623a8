/// Byte-pair encoding, by bytes or by characters with a fallback to bytes.
struct BPEModel: Sendable {
  let vocabulary: TokenTable
  let merges: MergeTable
  let unknown: String?
  let unknownID: Int32?
  let prefix: [UInt8]
  let suffix: [UInt8]
  let fusesUnknown: Bool
  let ignoresMerges: Bool
  /// The tokens `<0x00>` … `<0xFF>`, -1 for those that are missing; nil without byte fallback.
  let byteTokens: [Int32]?
  /// The token of each byte's character in GPT-2's alphabet, -1 for those that are missing.
  private let alphabet: [Int32]
  /// Bytes can be merged as they are: every one has its character among the tokens.
  let takesBytes: Bool
  /// The tokens of ASCII characters, -1 for those that are missing.
  private let ascii: [Int32]
  /// No token goes on with U+2581 after something else: a word may be cut before that mark.
  let cutsAtMark: Bool

  static let mark: [UInt8] = [0xE2, 0x96, 0x81]

  init(
    vocabulary: TokenTable, merges: MergeTable, results: some Sequence<Int32>, unknown: String? = nil, prefix: [UInt8] = [],
    suffix: [UInt8] = [], fusesUnknown: Bool = false, byteFallback: Bool = false, ignoresMerges: Bool = false
  ) {
    self.vocabulary = vocabulary
    self.merges = merges
    self.unknown = unknown
    self.prefix = prefix
    self.suffix = suffix
    self.fusesUnknown = fusesUnknown
    self.ignoresMerges = ignoresMerges
    unknownID = unknown.flatMap { vocabulary.id($0) }
    byteTokens = byteFallback ? Self.byteTokens(of: vocabulary) : nil
    let alphabet = ByteAlphabet.scalars.map { scalar in
      var token: [UInt8] = []
      token.append(scalar: scalar)
      return vocabulary.id(token) ?? -1
    }
    self.alphabet = alphabet
    takesBytes = prefix.isEmpty && suffix.isEmpty && !alphabet.contains(-1)
    ascii = (0..<128).map { vocabulary.id([UInt8($0)]) ?? -1 }
    // Characters that vanish shift the offsets of the whole piece.
    let takesAll = unknown != nil || byteTokens.map { !$0.contains(-1) } ?? false
    cutsAtMark =
      takesAll && prefix.isEmpty && suffix.isEmpty && !ignoresMerges && vocabulary.id(Self.mark) != nil
      && results.allSatisfy { !Self.hasInnerMark(vocabulary.token(Int($0)) ?? []) }
  }

  static func byteTokens(of vocabulary: TokenTable) -> [Int32] {
    (0..<256).map { byte in
      let digits = String(byte, radix: 16, uppercase: true)
      return vocabulary.id("<0x" + (digits.count < 2 ? "0" : "") + digits + ">") ?? -1
    }
  }

  /// Whether the mark stands in the token after anything but marks.
  static func hasInnerMark(_ token: ArraySlice<UInt8>) -> Bool {
    let rest = Array(token)
    var at = 0
    while rest[at...].starts(with: mark) { at += 3 }
    guard at < rest.count else { return false }
    return (at..<rest.count).contains { rest[$0...].starts(with: mark) }
  }

  /// Tokenizes a piece. `isByteLevel`: each byte stands for its character of GPT-2's alphabet.
  func encode(_ text: Bytes, _ range: Range<Int>, isByteLevel: Bool, _ workspace: inout Workspace, _ run: inout TokenRun) throws {
    guard cutsAtMark, !isByteLevel else { return try word(text, range, isByteLevel: isByteLevel, &workspace, &run) }
    var start = range.lowerBound
    var at = start
    while at + 2 < range.upperBound {
      let isMark = text[at] == 0xE2 && text[at + 1] == 0x96 && text[at + 2] == 0x81
      guard isMark else {
        at += 1
        continue
      }
      if at > start { try word(text, start..<at, isByteLevel: false, &workspace, &run) }
      start = at
      while at + 2 < range.upperBound, text[at] == 0xE2, text[at + 1] == 0x96, text[at + 2] == 0x81 { at += 3 }
    }
    if start < range.upperBound { try word(text, start..<range.upperBound, isByteLevel: false, &workspace, &run) }
  }

  @inline(__always)
  private func word(_ text: Bytes, _ range: Range<Int>, isByteLevel: Bool, _ workspace: inout Workspace, _ run: inout TokenRun) throws {
    guard !run.detailed, range.count <= WordCache.wordLimit else {
      return try compute(text, range, isByteLevel: isByteLevel, &workspace, &run)
    }
    let word = Bytes(rebasing: text[range])
    let key = hash(word)
    if workspace.cache.copy(word, key, to: &run) { return }
    let start = run.ids.count
    try compute(text, range, isByteLevel: isByteLevel, &workspace, &run)
    workspace.cache.insert(word, key, run.ids[start...])
  }

  private func compute(
    _ text: Bytes, _ range: Range<Int>, isByteLevel: Bool, _ workspace: inout Workspace, _ run: inout TokenRun
  ) throws {
    if ignoresMerges {
      let word = Bytes(rebasing: text[range])
      if let id = isByteLevel ? vocabulary.id(ByteAlphabet.encode(word)) : vocabulary.id(word) {
        return run.append(id, range.lowerBound, range.upperBound)
      }
    }
    workspace.merger.clear()
    if isByteLevel {
      addBytes(text, range, &workspace.merger)
    } else {
      try addScalars(text, range, &workspace.merger)
    }
    workspace.merger.merge { merges[$0.id, $1.id] }
    for symbol in workspace.merger.symbols { run.append(symbol.id, Int(symbol.start), Int(symbol.end)) }
  }

  private func addBytes(_ text: Bytes, _ range: Range<Int>, _ merger: inout Merger) {
    for at in range { merger.add(alphabet[Int(text[at])], at, at + 1) }
  }

  private func addScalars(_ text: Bytes, _ range: Range<Int>, _ merger: inout Merger) throws {
    var pending = Pending(start: range.lowerBound)
    let plain = prefix.isEmpty && suffix.isEmpty
    var at = range.lowerBound
    while at < range.upperBound {
      let next = at + Bytes.width(text[at])
      var id: Int32 = -1
      if plain {
        id = text[at] < 0x80 ? ascii[Int(text[at])] : vocabulary.id(Bytes(rebasing: text[at..<next])) ?? -1
        if id < 0 { try fallBack(Array(text[at..<next]), next - at, &pending, &merger) }
      } else {
        let whole = (at > range.lowerBound ? prefix : []) + text[at..<next] + (next == range.upperBound ? suffix : [])
        id = vocabulary.id(whole) ?? -1
        if id < 0 { try fallBack(whole, next - at, &pending, &merger) }
      }
      if id >= 0 {
        pending.flush(&merger)
        pending.add(id, next - at, &merger)
      }
      at = next
    }
    pending.flush(&merger)
  }

  /// A character that is no token: its bytes, the unknown token, or nothing.
  private func fallBack(_ character: [UInt8], _ length: Int, _ pending: inout Pending, _ merger: inout Merger) throws {
    if let byteTokens, character.allSatisfy({ byteTokens[Int($0)] >= 0 }) {
      // An unknown token that waits comes after these bytes: so does Hugging Face.
      for byte in character { pending.add(byteTokens[Int(byte)], 1, &merger) }
      return
    }
    guard let unknown else { return }
    guard let unknownID else { throw TokenizerError.encoding("the unknown token \"\(unknown)\" is not in the vocabulary") }
    if pending.length > 0, fusesUnknown {
      pending.length += length
    } else {
      pending.flush(&merger)
      pending.id = unknownID
      pending.length = length
    }
  }

  /// An unknown token that may still grow, and where the next symbol starts: lengths add up, as characters that vanish leave no gap.
  private struct Pending {
    var start: Int
    var id: Int32 = -1
    var length = 0

    init(start: Int) { self.start = start }

    @inline(__always)
    mutating func add(_ id: Int32, _ length: Int, _ merger: inout Merger) {
      merger.add(id, start, start + length)
      start += length
    }

    @inline(__always)
    mutating func flush(_ merger: inout Merger) {
      guard length > 0 else { return }
      add(id, length, &merger)
      length = 0
    }
  }
}
