extension Jinja.Text {
  typealias Text = Jinja.Text

  /// The first place (in bytes) at or after `from` where `other` stands.
  func firstRange(of other: Text, from: Int = 0, before limit: Int? = nil) -> Range<Int>? {
    let limit = limit ?? byteCount
    let length = other.byteCount
    guard from <= limit, length <= limit - from else { return nil }
    guard length > 0 else { return from..<from }
    if length > Self.shortLength {
      let found = Self.match(
        length, of: other.buffer.bytes, from: other.start, in: buffer.bytes, from: start + from, count: limit - from, step: 1)
      return found.map { from + $0..<from + $0 + length }
    }
    let bytes = buffer.bytes
    let wanted = other.buffer.bytes
    let first = wanted[other.start]
    var place = start + from
    let last = start + limit - length
    while place <= last {
      if bytes[place] == first {
        var i = 1
        while i < length, bytes[place + i] == wanted[other.start + i] { i += 1 }
        if i == length { return place - start..<place - start + length }
      }
      place += 1
    }
    return nil
  }

  /// The last place (in bytes) before `limit` where `other` stands whole.
  func lastRange(of other: Text, from: Int = 0, before limit: Int? = nil) -> Range<Int>? {
    let limit = limit ?? byteCount
    let length = other.byteCount
    guard from <= limit, length <= limit - from else { return nil }
    guard length > 0 else { return limit..<limit }
    if length > Self.shortLength {
      let found = Self.match(
        length, of: other.buffer.bytes, from: other.end - 1, in: buffer.bytes, from: start + limit - 1, count: limit - from, step: -1)
      return found.map { limit - $0 - length..<limit - $0 }
    }
    var place = limit - length
    while place >= from {
      if matches(other, at: place) { return place..<place + length }
      place -= 1
    }
    return nil
  }

  /// Up to this length, trying every place is fastest; beyond it a hostile text would make that quadratic.
  static let shortLength = 16

  /// Knuth, Morris and Pratt, forwards or (`step` −1) backwards: where `length` bytes first stand among `count`, in linear time.
  private static func match(
    _ length: Int, of wanted: [UInt8], from first: Int, in text: [UInt8], from start: Int, count: Int, step: Int
  ) -> Int? {
    var borders = [Int32](repeating: 0, count: length)
    var border = 0
    for place in 1..<length {
      let byte = wanted[first + step * place]
      while border > 0, byte != wanted[first + step * border] { border = Int(borders[border - 1]) }
      if byte == wanted[first + step * border] { border += 1 }
      borders[place] = Int32(truncatingIfNeeded: border)
    }
    var matched = 0
    for place in 0..<count {
      let byte = text[start + step * place]
      while matched > 0, byte != wanted[first + step * matched] { matched = Int(borders[matched - 1]) }
      if byte == wanted[first + step * matched] { matched += 1 }
      if matched == length { return place + 1 - length }
    }
    return nil
  }

  /// Whether all code points pass a test.
  func allSatisfy(_ holds: (Unicode.Scalar) -> Bool) -> Bool {
    var place = 0
    while place < byteCount {
      let (scalar, length) = scalar(at: place)
      if !holds(scalar) { return false }
      place += length
    }
    return true
  }

  /// No fewer than the parts that splitting at white space makes.
  var mostWords: Int { bytes.reduce(1) { $0 + ($1 <= 0x20 || $1 >= 0x80 ? 1 : 0) } }

  func matches(_ other: Text, at place: Int) -> Bool {
    guard place >= 0, place + other.byteCount <= byteCount else { return false }
    let bytes = buffer.bytes
    let wanted = other.buffer.bytes
    for i in 0..<other.byteCount where bytes[start + place + i] != wanted[other.start + i] { return false }
    return true
  }

  func hasPrefix(_ other: Text) -> Bool { matches(other, at: 0) }
  func hasSuffix(_ other: Text) -> Bool { matches(other, at: byteCount - other.byteCount) }
  func contains(_ other: Text) -> Bool { firstRange(of: other) != nil }

  /// The scalar that starts at a byte offset, and its length.
  func scalar(at offset: Int) -> (scalar: Unicode.Scalar, length: Int) {
    let lead = buffer.bytes[start + offset]
    if lead < 0x80 { return (Unicode.Scalar(lead), 1) }
    let length = min(lead.sequenceLength, byteCount - offset)
    var value = UInt32(lead) & (length == 2 ? 0x1F : length == 3 ? 0x0F : 0x07)
    for i in 1..<max(length, 1) { value = value << 6 | UInt32(buffer.bytes[start + offset + i] & 0x3F) }
    return (Unicode.Scalar(value) ?? "\u{FFFD}", length)
  }

  /// The start of the scalar that ends at a byte offset above zero.
  func scalarStart(before offset: Int) -> Int {
    var place = offset - 1
    while place > 0, buffer.bytes[start + place] & 0xC0 == 0x80 { place -= 1 }
    return place
  }

  /// Without the scalars for which `strips` holds, at the chosen ends.
  func stripped(left: Bool = true, right: Bool = true, where strips: (Unicode.Scalar) -> Bool = \.isPythonSpace) -> Text {
    var low = 0
    var high = byteCount
    while left, low < high {
      let (scalar, length) = scalar(at: low)
      guard strips(scalar) else { break }
      low += length
    }
    while right, high > low {
      let place = scalarStart(before: high)
      guard strips(scalar(at: place).scalar) else { break }
      high = place
    }
    return window(low..<high)
  }

  /// Python's `split(separator, limit)`; a limit below zero is none.
  func split(by separator: Text, limit: Int) -> [Text] {
    var parts: [Text] = []
    var from = 0
    while parts.count != limit, let found = firstRange(of: separator, from: from) {
      parts.append(window(from..<found.lowerBound))
      from = found.upperBound
    }
    parts.append(window(from..<byteCount))
    return parts
  }

  func splitFromRight(by separator: Text, limit: Int) -> [Text] {
    var parts: [Text] = []
    var end = byteCount
    while parts.count != limit, let found = lastRange(of: separator, before: end) {
      parts.append(window(found.upperBound..<end))
      end = found.lowerBound
    }
    parts.append(window(0..<end))
    return parts.reversed()
  }

  /// Python's `split()` at runs of white space.
  func splitAtSpace(limit: Int) -> [Text] {
    var parts: [Text] = []
    var rest = stripped(right: false)
    while !rest.isEmpty {
      if parts.count == limit {
        parts.append(rest)
        break
      }
      var place = 0
      while place < rest.byteCount {
        let (scalar, length) = rest.scalar(at: place)
        if scalar.isPythonSpace { break }
        place += length
      }
      parts.append(rest.window(0..<place))
      rest = rest.window(place..<rest.byteCount).stripped(right: false)
    }
    return parts
  }

  func splitAtSpaceFromRight(limit: Int) -> [Text] {
    var parts: [Text] = []
    var rest = stripped(left: false)
    while !rest.isEmpty {
      if parts.count == limit {
        parts.append(rest)
        break
      }
      var place = rest.byteCount
      while place > 0 {
        let before = rest.scalarStart(before: place)
        if rest.scalar(at: before).scalar.isPythonSpace { break }
        place = before
      }
      parts.append(rest.window(place..<rest.byteCount))
      rest = rest.window(0..<place).stripped(left: false)
    }
    return parts.reversed()
  }

  /// Python's `splitlines`: at every line boundary of Unicode.
  func lines(keepingEnds: Bool) -> [Text] {
    var lines: [Text] = []
    var from = 0
    var place = 0
    while place < byteCount {
      let (scalar, length) = scalar(at: place)
      var end = place + length
      if scalar.isPythonLineEnd {
        if scalar == "\r", end < byteCount, buffer.bytes[start + end] == UInt8(ascii: "\n") { end += 1 }
        lines.append(window(from..<(keepingEnds ? end : place)))
        from = end
      }
      place = end
    }
    if from < byteCount { lines.append(window(from..<byteCount)) }
    return lines
  }

  /// Python's `replace`; `limit` below zero is none.
  func replacing(_ old: Text, with new: Text, limit: Int) -> Text {
    if old.isEmpty { return interleaving(new, limit: limit) }
    guard limit != 0, var found = firstRange(of: old) else { return self }
    var out: [UInt8] = []
    var from = 0
    var left = limit
    while left != 0 {
      out += window(from..<found.lowerBound).bytes
      out += new.bytes
      from = found.upperBound
      left -= 1
      guard let next = firstRange(of: old, from: from) else { break }
      found = next
    }
    out += window(from..<byteCount).bytes
    return Text(out, isMarkup: isMarkup)
  }

  private func interleaving(_ new: Text, limit: Int) -> Text {
    var out: [UInt8] = []
    var left = limit
    for character in characters {
      if left != 0 {
        out += new.bytes
        left -= 1
      }
      out += character.bytes
    }
    if left != 0 { out += new.bytes }
    return Text(out, isMarkup: isMarkup)
  }

  /// How often `other` stands in the text without overlapping itself.
  func occurrences(of other: Text) -> Int {
    guard !other.isEmpty else { return count + 1 }
    var number = 0
    var from = 0
    while let found = firstRange(of: other, from: from) {
      number += 1
      from = found.upperBound
    }
    return number
  }
}

extension Unicode.Scalar {
  var isPythonLineEnd: Bool {
    switch value {
    case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: true
    default: false
    }
  }
}
