/// Tokens of pieces, in order, as a model hands them out.
struct TokenRun {
  private(set) var ids: [Int32] = []
  /// Start and end of each token in the bytes of the buffer; only where `detailed`.
  private(set) var ranges: [Span] = []
  let detailed: Bool

  init(detailed: Bool) { self.detailed = detailed }

  mutating func reserve(_ count: Int) { ids.reserveCapacity(count) }

  @inline(__always)
  mutating func append(_ id: Int32, _ start: Int, _ end: Int) {
    ids.append(id)
    if detailed { ranges.append(Span(start: Int32(truncatingIfNeeded: start), end: Int32(truncatingIfNeeded: end))) }
  }

  /// Lets the last token end further on.
  mutating func extendLast(_ end: Int) {
    if detailed, !ranges.isEmpty { ranges[ranges.count - 1].end = Int32(truncatingIfNeeded: end) }
  }

  @inline(__always)
  mutating func append(_ cached: ArraySlice<Int32>) { ids.append(contentsOf: cached) }
}
