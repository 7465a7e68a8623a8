/// SentencePiece's table of replacements: a double-array trie (Darts) over UTF-8 and the texts it points to.
struct CharsMap: Sendable {
  private let units: [UInt32]
  /// Texts, each ended by a zero byte.
  private let texts: [UInt8]

  /// - Throws: `TokenizerError` without file and field where the sizes do not fit.
  init(_ blob: [UInt8]) throws {
    func word(_ at: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(blob[at + $1]) << UInt32(8 * $1) } }
    guard blob.count > 4 else { throw TokenizerError.encoding("a character map of more than 4 bytes is wanted, found \(blob.count)") }
    let size = Int(word(0))
    guard size % 4 == 0, size >= 4, size < blob.count - 4 else {
      throw TokenizerError.encoding("a character map's trie of \(size) bytes does not fit in \(blob.count) bytes")
    }
    units = (0..<size / 4).map { word(4 + $0 * 4) }
    texts = Array(blob[(4 + size)...])
  }

  /// Visits the keys that `text` starts with, shortest first, as (length, index of the text), until `visit` returns false.
  @inline(__always)
  private func prefixes(_ text: Bytes, _ range: Range<Int>, _ visit: (Int, Int) -> Bool) {
    func offset(_ unit: UInt32) -> Int { Int(unit >> 10) << Int((unit & 0x200) >> 6) }
    var position = offset(units[0])
    for at in range {
      let byte = text[at]
      position ^= Int(byte)
      guard position < units.count else { return }
      let unit = units[position]
      guard unit & 0x8000_00FF == UInt32(byte) else { return }
      position ^= offset(unit)
      guard position < units.count else { return }
      if unit & 0x100 != 0, !visit(at + 1 - range.lowerBound, Int(units[position] & 0x7FFF_FFFF)) { return }
    }
  }

  /// The longest key at the start of the range and its replacement.
  func longest(_ text: Bytes, _ range: Range<Int>) -> (length: Int, replacement: ArraySlice<UInt8>)? {
    var found: (Int, Int)?
    prefixes(text, range) { length, value in
      found = (length, value)
      return true
    }
    return found.map { ($0.0, replacement($0.1)) }
  }

  /// The replacement of the shortest key at the start of the range; Hugging Face takes that one.
  func shortest(_ text: Bytes, _ range: Range<Int>) -> ArraySlice<UInt8>? {
    var found: Int?
    prefixes(text, range) { _, value in
      found = value
      return false
    }
    return found.map(replacement)
  }

  private func replacement(_ at: Int) -> ArraySlice<UInt8> {
    guard at < texts.count else { return [] }
    let end = texts[at...].firstIndex(of: 0) ?? texts.count
    let text = texts[at..<end]
    // A hostile map may hold anything.
    return String(validating: text, as: UTF8.self) != nil ? text : ArraySlice(String(decoding: text, as: UTF8.self).utf8)
  }
}

extension NormalizedText {
  /// Applies the map as Hugging Face does: to each grapheme under 6 bytes as a whole, else to each of its scalars.
  mutating func apply(_ map: CharsMap) {
    var items: [Rewritten] = []
    items.reserveCapacity(bytes.count)
    var isModified = false
    func replace(_ part: Range<Int>, _ text: Bytes) -> Bool {
      guard let replacement = map.shortest(text, part) else { return false }
      isModified = true
      let new = Array(replacement).scalars
      let surplus = new.count - scalarCount(text, part)
      let start = items.count
      for c in new { items.append(Rewritten(scalar: c, change: 0)) }
      if surplus > 0 {
        for index in max(items.count - surplus, start)..<items.count { items[index].change = 1 }
      } else if surplus < 0, !items.isEmpty {
        items[items.count - 1].change += surplus
      }
      return true
    }
    bytes.withUnsafeBufferPointer { text in
      Graphemes.forEach(in: text) { cluster in
        if cluster.count < 6, replace(cluster, text) { return }
        var at = cluster.lowerBound
        while at < cluster.upperBound {
          let (c, next) = text.scalar(at: at)
          if !replace(at..<next, text) { items.append(Rewritten(scalar: c, change: 0)) }
          at = next
        }
      }
    }
    if isModified { rewrite(items) }
  }
}

private func scalarCount(_ text: Bytes, _ range: Range<Int>) -> Int {
  range.reduce(0) { $0 + (text[$1] & 0xC0 == 0x80 ? 0 : 1) }
}
