import SwiftletFormats

/// A `tokenizer.json` whose large tables were set aside: parsing them as a JSON tree would cost most of the loading time.
struct TokenizerJSON {
  let file: String
  let bytes: [UInt8]
  /// The document with null in place of the tables.
  let root: Field
  /// Where `model.vocab` and `model.merges` stand.
  private(set) var vocabulary: Range<Int>?
  private(set) var merges: Range<Int>?

  /// - Throws: `TokenizerError` where the document is not JSON.
  init(_ bytes: [UInt8], file: String) throws {
    self.file = file
    self.bytes = bytes
    var reduced = bytes
    if let tables = bytes.withUnsafeBufferPointer({ JSONScanner(bytes: $0).tables() }) {
      vocabulary = tables.vocabulary
      merges = tables.merges
      for table in [vocabulary, merges].compactMap(\.self).sorted(by: { $0.lowerBound > $1.lowerBound }) {
        // The line breaks stay, so that errors further on name the right line.
        let lines = bytes[table].filter { $0 == 10 }
        reduced.replaceSubrange(table, with: Array("null".utf8) + lines)
      }
    }
    do {
      root = Field(file: file, path: "", json: try JSON(parsing: reduced))
    } catch {
      throw TokenizerError(file: file, field: "", "not JSON: \(error)")
    }
  }
}

/// Finds values in JSON text without building anything.
struct JSONScanner {
  let bytes: Bytes
  var at = 0

  init(bytes: Bytes) { self.bytes = bytes }

  mutating func skipSpace() {
    while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x0A || bytes[at] == 0x0D || bytes[at] == 0x09 { at += 1 }
  }

  mutating func take(_ byte: UInt8) -> Bool {
    skipSpace()
    guard at < bytes.count, bytes[at] == byte else { return false }
    at += 1
    return true
  }

  /// Takes a string; the range is what stands between the quotation marks.
  mutating func string() -> (range: Range<Int>, hasEscapes: Bool)? {
    guard take(0x22) else { return nil }
    let start = at
    var hasEscapes = false
    while at < bytes.count, bytes[at] != 0x22 {
      if bytes[at] == 0x5C {
        hasEscapes = true
        at += 1
      }
      at += 1
    }
    guard at < bytes.count else { return nil }
    at += 1
    return (start..<at - 1, hasEscapes)
  }

  /// Takes any value.
  mutating func value() -> Range<Int>? {
    skipSpace()
    let start = at
    var depth = 0
    while at < bytes.count {
      switch bytes[at] {
      case 0x22: if string() == nil { return nil }
      case 0x7B, 0x5B:
        depth += 1
        at += 1
      case 0x7D, 0x5D:
        if depth == 0 { return at > start ? start..<at : nil }
        depth -= 1
        at += 1
      case 0x2C where depth == 0, 0x20 where depth == 0, 0x0A where depth == 0, 0x0D where depth == 0, 0x09 where depth == 0:
        return at > start ? start..<at : nil
      default: at += 1
      }
      if depth == 0, at > start, bytes[at - 1] == 0x22 || bytes[at - 1] == 0x7D || bytes[at - 1] == 0x5D { return start..<at }
    }
    return at > start && depth == 0 ? start..<at : nil
  }

  /// Takes an object; `body` sees each key and takes its value. False where this is no object or breaks off.
  mutating func object(_ body: (inout JSONScanner, Range<Int>) -> Bool) -> Bool {
    guard take(0x7B) else { return false }
    if take(0x7D) { return true }
    repeat {
      guard let key = string(), take(0x3A), body(&self, key.range) else { return false }
    } while take(0x2C)
    return take(0x7D)
  }

  /// Where the tables of the model stand; nil where the text is not what it should be: the parser will say why.
  func tables() -> (vocabulary: Range<Int>?, merges: Range<Int>?)? {
    var scanner = self
    var vocabulary: Range<Int>?
    var merges: Range<Int>?
    let isWhole = scanner.object { scanner, key in
      guard scanner.equals(key, "model") else { return scanner.value() != nil }
      scanner.skipSpace()
      guard scanner.at < scanner.bytes.count, scanner.bytes[scanner.at] == 0x7B else { return scanner.value() != nil }
      return scanner.object { scanner, key in
        guard let value = scanner.value() else { return false }
        if scanner.equals(key, "vocab") { vocabulary = value }
        if scanner.equals(key, "merges") { merges = value }
        return true
      }
    }
    return isWhole ? (vocabulary, merges) : nil
  }

  private func equals(_ range: Range<Int>, _ text: StaticString) -> Bool {
    range.count == text.utf8CodeUnitCount && range.indices.allSatisfy { bytes[$0] == text.utf8Start[$0 - range.lowerBound] }
  }
}
