extension Jinja {
  /// Growing storage that several texts may share.
  final class TextBuffer {
    var bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }
  }

  /// Python's `str`: a sequence of Unicode code points, kept as UTF-8 and compared by bytes.
  ///
  /// A text is a window on a buffer. Appending to a text that ends where its buffer ends grows that buffer in place, so building a
  /// text piece by piece is linear; slices share the buffer.
  struct Text {
    let buffer: TextBuffer
    let start: Int
    let end: Int
    let isASCII: Bool
    /// Python's `Markup`: text that is taken to be HTML already (`safe`, `escape`); adding to it escapes what is added.
    var isMarkup = false

    init(buffer: TextBuffer, start: Int, end: Int, isASCII: Bool, isMarkup: Bool = false) {
      self.buffer = buffer
      self.start = start
      self.end = end
      self.isASCII = isASCII
      self.isMarkup = isMarkup
    }

    init(_ bytes: [UInt8], isMarkup: Bool = false) {
      self.init(buffer: TextBuffer(bytes), start: 0, end: bytes.count, isASCII: bytes.allSatisfy { $0 < 0x80 }, isMarkup: isMarkup)
    }

    init(_ text: String) { self.init(Array(text.utf8)) }

    init(_ scalars: some Sequence<Unicode.Scalar>) {
      var bytes: [UInt8] = []
      for scalar in scalars { bytes.append(scalar) }
      self.init(bytes)
    }

    var bytes: ArraySlice<UInt8> { buffer.bytes[start..<end] }
    var byteCount: Int { end - start }
    var isEmpty: Bool { start == end }
    var string: String { String(decoding: bytes, as: UTF8.self) }
    var scalars: String.UnicodeScalarView { string.unicodeScalars }
    /// Python's `len`.
    var count: Int { isASCII ? byteCount : bytes.scalarCount }
    var plain: Text { with(markup: false) }

    func with(markup: Bool) -> Text { Text(buffer: buffer, start: start, end: end, isASCII: isASCII, isMarkup: markup) }

    /// The window of these bytes, counted from the start of this text; they must not cut a code point.
    func window(_ range: Range<Int>) -> Text {
      Text(buffer: buffer, start: start + range.lowerBound, end: start + range.upperBound, isASCII: isASCII, isMarkup: isMarkup)
    }

    /// This text with `other` after it; markup of the result is this text's.
    func appending(_ other: Text) -> Text {
      let ascii = isASCII && other.isASCII
      if end == buffer.bytes.count, start < end {
        buffer.bytes.append(contentsOf: other.bytes)
        return Text(buffer: buffer, start: start, end: end + other.byteCount, isASCII: ascii, isMarkup: isMarkup)
      }
      var joined: [UInt8] = []
      joined.reserveCapacity(byteCount + other.byteCount)
      joined += bytes
      joined += other.bytes
      return Text(buffer: TextBuffer(joined), start: 0, end: joined.count, isASCII: ascii, isMarkup: isMarkup)
    }

    /// The byte offset of code point `index`, which lies in `0...count`.
    func byteOffset(ofScalar index: Int) -> Int {
      if isASCII { return index }
      var left = index
      var place = start
      while place < end {
        if buffer.bytes[place] & 0xC0 != 0x80 {
          if left == 0 { break }
          left -= 1
        }
        place += 1
      }
      return place - start
    }

    /// The number of code points before a byte offset.
    func scalarIndex(ofByte offset: Int) -> Int { isASCII ? offset : buffer.bytes[start..<start + offset].scalarCount }

    /// The text of code points `range`, which lies in `0...count`.
    func scalars(_ range: Range<Int>) -> Text {
      let low = byteOffset(ofScalar: range.lowerBound)
      let rest = window(low..<byteCount)
      return rest.window(0..<rest.byteOffset(ofScalar: range.count))
    }

    /// Each code point as a text of its own.
    var characters: [Text] {
      var result: [Text] = []
      var place = 0
      while place < byteCount {
        let length = buffer.bytes[start + place].sequenceLength
        let stop = min(place + length, byteCount)
        let isASCII = length == 1
        result.append(
          Text(buffer: buffer, start: start + place, end: start + stop, isASCII: isASCII, isMarkup: isMarkup))
        place = stop
      }
      return result
    }
  }
}

extension Jinja.Text: Hashable {
  static func == (a: Self, b: Self) -> Bool {
    guard a.byteCount == b.byteCount else { return false }
    if a.buffer === b.buffer, a.start == b.start { return true }
    return a.bytes == b.bytes
  }

  func hash(into hasher: inout Hasher) {
    bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
  }

  /// By code points, which for UTF-8 is by bytes.
  static func < (a: Self, b: Self) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }
}

extension UInt8 {
  /// The length of the UTF-8 sequence that this byte leads.
  var sequenceLength: Int { self < 0x80 ? 1 : self < 0xE0 ? 2 : self < 0xF0 ? 3 : 4 }
}

extension ArraySlice<UInt8> {
  /// Code points in valid UTF-8.
  var scalarCount: Int {
    var count = 0
    for byte in self where byte & 0xC0 != 0x80 { count += 1 }
    return count
  }
}

extension [UInt8] {
  mutating func append(_ scalar: Unicode.Scalar) {
    if scalar.isASCII {
      append(UInt8(truncatingIfNeeded: scalar.value))
    } else {
      append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    }
  }

  mutating func append(_ text: String) { append(contentsOf: text.utf8) }
}
