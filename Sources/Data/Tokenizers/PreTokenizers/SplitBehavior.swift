/// What happens to the matches of a pattern that cuts text.
enum SplitBehavior: String, Sendable {
  case removed = "Removed"
  case isolated = "Isolated"
  case mergedWithPrevious = "MergedWithPrevious"
  case mergedWithNext = "MergedWithNext"
  case contiguous = "Contiguous"
}

/// Turns the matches of a pattern in one piece into new pieces.
struct SplitWriter {
  let behavior: SplitBehavior
  /// Matches are what stands between the matches of the pattern.
  let invert: Bool
  private(set) var pieces: [Piece] = []
  private var done = 0
  /// The stretch that may still grow.
  private var pending: (range: Range<Int>, isMatch: Bool)?

  init(_ behavior: SplitBehavior, invert: Bool = false, capacity: Int) {
    self.behavior = behavior
    self.invert = invert
    pieces.reserveCapacity(capacity)
  }

  mutating func keep(_ piece: Piece) { pieces.append(piece) }

  mutating func begin(_ range: Range<Int>) {
    done = range.lowerBound
    pending = nil
  }

  @inline(__always)
  mutating func match(_ start: Int, _ end: Int) {
    if start > done { event(done, start, invert) }
    event(start, end, !invert)
    done = end
  }

  mutating func finish(_ range: Range<Int>) {
    if range.upperBound > done { event(done, range.upperBound, invert) }
    if let pending { push(pending.range.lowerBound, pending.range.upperBound) }
  }

  @inline(__always)
  private mutating func push(_ start: Int, _ end: Int) {
    if end > start { pieces.append(Piece(start: Int32(truncatingIfNeeded: start), end: Int32(truncatingIfNeeded: end))) }
  }

  @inline(__always)
  private mutating func event(_ start: Int, _ end: Int, _ isMatch: Bool) {
    switch behavior {
    case .isolated: push(start, end)
    case .removed: if !isMatch { push(start, end) }
    case .contiguous, .mergedWithPrevious, .mergedWithNext: merge(start, end, isMatch)
    }
  }

  private mutating func merge(_ start: Int, _ end: Int, _ isMatch: Bool) {
    guard let last = pending else {
      pending = (start..<end, isMatch)
      return
    }
    let joins =
      switch behavior {
      case .contiguous: isMatch == last.isMatch
      case .mergedWithPrevious: isMatch && !last.isMatch
      default: !isMatch && last.isMatch
      }
    if joins {
      pending = (last.range.lowerBound..<end, isMatch)
    } else {
      push(last.range.lowerBound, last.range.upperBound)
      pending = (start..<end, isMatch)
    }
  }
}
