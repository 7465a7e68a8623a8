/// Merges the symbols of one word: always the pair of lowest rank, the leftmost of equals.
struct Merger {
  struct Symbol {
    var id: Int32
    var start: Int32
    var end: Int32
    /// Rank and result of the merge with the next symbol.
    var rank: UInt32 = .max
    var merged: Int32 = 0
    var previous: Int32 = -1
    var next: Int32 = -1
  }

  /// From this length on a heap is faster than looking at all pairs.
  private static let heapLength = 40
  var symbols: [Symbol] = []
  private var heap = MergeHeap()

  mutating func clear() { symbols.removeAll(keepingCapacity: true) }

  @inline(__always)
  mutating func add(_ id: Int32, _ start: Int, _ end: Int) {
    symbols.append(Symbol(id: id, start: Int32(truncatingIfNeeded: start), end: Int32(truncatingIfNeeded: end)))
  }

  /// Merges what `pair` allows; `symbols` then holds the result.
  @inline(__always)
  mutating func merge(_ pair: (Symbol, Symbol) -> (rank: UInt32, id: Int32)) {
    if symbols.count < 2 { return }
    if symbols.count < Self.heapLength { mergeShort(pair) } else { mergeLong(pair) }
  }

  @inline(__always)
  private mutating func rate(_ index: Int, _ next: Int, _ pair: (Symbol, Symbol) -> (rank: UInt32, id: Int32)) {
    let (rank, id) = pair(symbols[index], symbols[next])
    symbols[index].rank = rank
    symbols[index].merged = id
  }

  @inline(__always)
  private mutating func mergeShort(_ pair: (Symbol, Symbol) -> (rank: UInt32, id: Int32)) {
    for index in 0..<symbols.count - 1 { rate(index, index + 1, pair) }
    while true {
      var best = UInt32.max
      var at = 0
      for index in 0..<symbols.count - 1 where symbols[index].rank < best {
        best = symbols[index].rank
        at = index
      }
      guard best != .max else { return }
      symbols[at].id = symbols[at].merged
      symbols[at].end = symbols[at + 1].end
      symbols[at].rank = .max
      symbols.remove(at: at + 1)
      if at + 1 < symbols.count { rate(at, at + 1, pair) }
      if at > 0 { rate(at - 1, at, pair) }
    }
  }

  private mutating func mergeLong(_ pair: (Symbol, Symbol) -> (rank: UInt32, id: Int32)) {
    heap.clear()
    let count = symbols.count
    for index in 0..<count {
      symbols[index].previous = Int32(index - 1)
      symbols[index].next = index + 1 < count ? Int32(index + 1) : -1
      guard index + 1 < count else { break }
      rate(index, index + 1, pair)
      if symbols[index].rank != .max { heap.append(symbols[index].rank, Int32(index)) }
    }
    heap.order()
    while let (rank, position) = heap.pop() {
      let at = Int(position)
      // A symbol that is gone has no rank; one that changed has another.
      guard symbols[at].rank == rank, symbols[at].next >= 0 else { continue }
      let right = Int(symbols[at].next)
      symbols[at].id = symbols[at].merged
      symbols[at].end = symbols[right].end
      symbols[at].next = symbols[right].next
      symbols[at].rank = .max
      symbols[right].rank = .max
      symbols[right].id = -1
      if symbols[at].next >= 0 {
        symbols[Int(symbols[at].next)].previous = position
        rate(at, Int(symbols[at].next), pair)
        if symbols[at].rank != .max { heap.push(symbols[at].rank, position) }
      }
      if symbols[at].previous >= 0 {
        let left = Int(symbols[at].previous)
        rate(left, at, pair)
        if symbols[left].rank != .max { heap.push(symbols[left].rank, Int32(left)) }
      }
    }
    symbols.removeAll { $0.id < 0 }
  }
}

/// A binary heap of (rank, position), smallest first.
struct MergeHeap {
  /// Rank in the high half, position in the low one: one comparison orders both.
  private var items: [UInt64] = []

  mutating func clear() { items.removeAll(keepingCapacity: true) }

  mutating func append(_ rank: UInt32, _ position: Int32) { items.append(UInt64(rank) << 32 | UInt64(UInt32(bitPattern: position))) }

  /// Makes a heap of what was appended.
  mutating func order() {
    for index in stride(from: items.count / 2 - 1, through: 0, by: -1) { sink(index) }
  }

  mutating func push(_ rank: UInt32, _ position: Int32) {
    append(rank, position)
    var at = items.count - 1
    while at > 0, items[at] < items[(at - 1) / 2] {
      items.swapAt(at, (at - 1) / 2)
      at = (at - 1) / 2
    }
  }

  mutating func pop() -> (rank: UInt32, position: Int32)? {
    guard let first = items.first, let last = items.popLast() else { return nil }
    if !items.isEmpty {
      items[0] = last
      sink(0)
    }
    return (UInt32(truncatingIfNeeded: first >> 32), Int32(bitPattern: UInt32(truncatingIfNeeded: first)))
  }

  private mutating func sink(_ start: Int) {
    var at = start
    let item = items[at]
    while true {
      var child = 2 * at + 1
      guard child < items.count else { break }
      if child + 1 < items.count, items[child + 1] < items[child] { child += 1 }
      guard items[child] < item else { break }
      items[at] = items[child]
      at = child
    }
    items[at] = item
  }
}
