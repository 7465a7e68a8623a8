/// Normalisation as the SentencePiece library does it.
struct SentencePieceNormalizer: Sendable {
  let rules: SentencePieceFile.Normalization
  /// User-defined pieces stay as they are.
  let kept: ByteTrie

  /// Normalises a part of a text.
  func apply(_ text: Bytes, _ range: Range<Int>, tracked: Bool) -> NormalizedText {
    var result = NormalizedText(text, range.lowerBound..<range.lowerBound, tracked: tracked)
    var at = range.lowerBound
    if rules.removesExtraSpaces {
      while at < range.upperBound {
        let (length, replacement) = step(text, at..<range.upperBound)
        guard isSpace(text, at, length, replacement) else { break }
        at += length
      }
    }
    guard at < range.upperBound else { return result }
    let space: [UInt8] = rules.escapesSpaces ? BPEModel.mark : [0x20]
    if !rules.spaceIsSuffix, rules.addsPrefix { result.write(space, Span(start: Int32(at), end: Int32(at))) }
    var afterSpace = rules.removesExtraSpaces
    while at < range.upperBound {
      let (length, replacement) = step(text, at..<range.upperBound)
      let span = Span(start: Int32(at), end: Int32(at + length))
      if let replacement {
        write(replacement, span, space, &afterSpace, &result)
      } else {
        write(text[at..<at + length], span, space, &afterSpace, &result)
      }
      at += length
      if !rules.removesExtraSpaces { afterSpace = false }
    }
    if rules.removesExtraSpaces {
      while result.bytes.suffix(space.count).elementsEqual(space) { result.keep(0..<result.bytes.count - space.count) }
    }
    if rules.spaceIsSuffix, rules.addsPrefix { result.write(space, Span(start: Int32(at), end: Int32(at))) }
    return result
  }

  private func isSpace(_ text: Bytes, _ at: Int, _ length: Int, _ replacement: ArraySlice<UInt8>?) -> Bool {
    if let replacement { return replacement.elementsEqual([0x20]) }
    return length == 1 && text[at] == 0x20
  }

  /// How much the next step takes and what it becomes; nil where it stays.
  @inline(__always)
  private func step(_ text: Bytes, _ range: Range<Int>) -> (length: Int, replacement: ArraySlice<UInt8>?) {
    if !kept.isEmpty, kept.mayStart(text[range.lowerBound]) {
      var end = 0
      kept.prefixes(text, range) { found, _ in end = found }
      if end > 0 { return (end - range.lowerBound, nil) }
    }
    if let found = rules.charsMap?.longest(text, range) {
      // A key that ends inside a character can only come from a damaged map; taking whole characters keeps the text valid.
      var length = found.length
      while range.lowerBound + length < range.upperBound, text[range.lowerBound + length] & 0xC0 == 0x80 { length += 1 }
      return (length, found.replacement)
    }
    return (Bytes.width(text[range.lowerBound]), nil)
  }

  @inline(__always)
  private func write(
    _ part: some Collection<UInt8>, _ span: Span, _ space: [UInt8], _ afterSpace: inout Bool, _ result: inout NormalizedText
  ) {
    var skips = afterSpace
    var last: UInt8?
    for byte in part {
      if skips, byte == 0x20 { continue }
      skips = false
      last = byte
      if byte == 0x20 {
        result.write(space, span)
      } else {
        result.bytes.append(byte)
        if result.tracked { result.spans.append(span) }
      }
    }
    if let last { afterSpace = last == 0x20 }
  }
}

extension NormalizedText {
  @inline(__always)
  mutating func write(_ new: [UInt8], _ span: Span) {
    bytes.append(contentsOf: new)
    if tracked { spans.append(contentsOf: repeatElement(span, count: new.count)) }
  }
}
