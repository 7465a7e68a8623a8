/// Bytes of the original text from which a byte of the normalised text came.
struct Span: Hashable, Sendable {
  var start: Int32
  var end: Int32
}

/// A text on its way through the normalisers, with the origin of every byte where someone will ask for offsets.
struct NormalizedText {
  /// Valid UTF-8.
  var bytes: [UInt8]
  /// One span per byte; empty where `tracked` is false.
  var spans: [Span]
  let tracked: Bool
  /// Where this part starts in the original text.
  let origin: Int32

  /// A part of the original text.
  init(_ text: Bytes, _ range: Range<Int>, tracked: Bool) {
    bytes = Array(text[range])
    self.tracked = tracked
    origin = Int32(range.lowerBound)
    spans = tracked ? Self.identity(text, range) : []
  }

  /// Each byte comes from the whole of its scalar.
  static func identity(_ text: Bytes, _ range: Range<Int>) -> [Span] {
    var spans: [Span] = []
    spans.reserveCapacity(range.count)
    var at = range.lowerBound
    while at < range.upperBound {
      let width = Bytes.width(text[at])
      for _ in 0..<width { spans.append(Span(start: Int32(at), end: Int32(at + width))) }
      at += width
    }
    return spans
  }

  /// An empty text of the same origin to write into.
  private func blank() -> NormalizedText {
    var result = self
    result.bytes = []
    result.spans = []
    result.bytes.reserveCapacity(bytes.count)
    if tracked { result.spans.reserveCapacity(bytes.count) }
    return result
  }

  mutating func append(_ c: UInt32, from span: Span) {
    bytes.append(scalar: c)
    if tracked { for _ in 0..<utf8Width(c) { spans.append(span) } }
  }

  private mutating func append(_ source: borrowing NormalizedText, _ range: Range<Int>) {
    bytes += source.bytes[range]
    if tracked { spans += source.spans[range] }
  }

  private func span(_ at: Int) -> Span { tracked && at >= 0 && at < spans.count ? spans[at] : Span(start: origin, end: origin) }

  /// Replaces each scalar by those that `write` hands over; all of them come from where it came from.
  mutating func expand(_ write: (UInt32, (UInt32) -> Void) -> Void) {
    var result = blank()
    bytes.withUnsafeBufferPointer { text in
      var at = 0
      while at < text.count {
        let (c, next) = text.scalar(at: at)
        let span = span(at)
        write(c) { result.append($0, from: span) }
        at = next
      }
    }
    self = result
  }

  /// Appends what became of `range` of `source`.
  private mutating func append(_ items: [Rewritten], for range: Range<Int>, of source: borrowing NormalizedText) {
    var at = range.lowerBound
    for item in items {
      append(item.scalar, from: source.span(item.change > 0 ? at - 1 : at))
      guard item.change <= 0 else { continue }
      for _ in 0...(-item.change) where at < range.upperBound { at += Bytes.width(source.bytes[at]) }
    }
  }

  /// Replaces the whole text by scalars that know how many they replace.
  mutating func rewrite(_ items: [Rewritten]) {
    var result = blank()
    result.append(items, for: 0..<bytes.count, of: self)
    self = result
  }

  /// Brings the text into a Unicode normalisation form. Stretches that the form leaves alone cost little more than a look.
  mutating func normalize(_ form: NormalizationForm) {
    var result: NormalizedText?
    bytes.withUnsafeBufferPointer { text in
      var done = 0
      while let change = form.nextChange(in: text, from: done) {
        var partial = result ?? blank()
        result = nil
        partial.append(self, done..<change.lowerBound)
        partial.append(form.apply(Array(text[change]).scalars), for: change, of: self)
        done = change.upperBound
        result = partial
      }
      if done < text.count { result?.append(self, done..<text.count) }
    }
    if let result { self = result }
  }

  /// Puts `text` before a text that is not empty; it comes from where the first scalar came from.
  mutating func prepend(_ text: [UInt8]) {
    guard !bytes.isEmpty else { return }
    let first = span(0)
    bytes.insert(contentsOf: text, at: 0)
    if tracked { spans.insert(contentsOf: repeatElement(first, count: text.count), at: 0) }
  }

  /// Replaces the matches, in order and without overlap; the new text comes from the last scalar of each.
  mutating func replace(_ matches: [Range<Int>], with text: [UInt8]) {
    guard !matches.isEmpty else { return }
    var result = blank()
    var done = 0
    for match in matches {
      result.append(self, done..<match.lowerBound)
      result.bytes += text
      if tracked { result.spans += repeatElement(span(match.upperBound - 1), count: text.count) }
      done = match.upperBound
    }
    result.append(self, done..<bytes.count)
    self = result
  }

  /// Keeps only a part.
  mutating func keep(_ range: Range<Int>) {
    guard range != 0..<bytes.count else { return }
    bytes = Array(bytes[range])
    if tracked { spans = Array(spans[range]) }
  }
}
