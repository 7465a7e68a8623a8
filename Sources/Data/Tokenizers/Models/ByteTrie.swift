/// A trie over bytes whose children stand side by side: made once, searched often.
struct ByteTrie: Sendable {
  /// Per node: its label, where its children start, how many they are, and its value (-1: no key ends here).
  private var labels: [UInt8] = [0]
  private var firstChild: [Int32] = [0]
  private var childCount: [Int16] = [0]
  private var values: [Int32] = [-1]
  /// The root's children by label, 0 for none.
  private var roots = [Int32](repeating: 0, count: 256)
  let isEmpty: Bool

  /// Keys that are empty are left out; of equal keys the last one counts.
  init(_ keys: [(key: ArraySlice<UInt8>, value: Int32)]) {
    let used = keys.indices.filter { !keys[$0].key.isEmpty }
    isEmpty = used.isEmpty
    let sorted = used.sorted { a, b in
      let (x, y) = (keys[a].key, keys[b].key)
      return x.lexicographicallyPrecedes(y) || (a < b && x.elementsEqual(y))
    }.map { keys[$0] }
    var queue: [(node: Int, range: Range<Int>, depth: Int)] = [(0, 0..<sorted.count, 0)]
    var head = 0
    while head < queue.count {
      let (node, range, depth) = queue[head]
      head += 1
      var at = range.lowerBound
      while at < range.upperBound, sorted[at].key.count == depth {
        values[node] = sorted[at].value
        at += 1
      }
      firstChild[node] = Int32(labels.count)
      while at < range.upperBound {
        let label = sorted[at].key[sorted[at].key.startIndex + depth]
        let start = at
        while at < range.upperBound, sorted[at].key[sorted[at].key.startIndex + depth] == label { at += 1 }
        queue.append((labels.count, start..<at, depth + 1))
        if node == 0 { roots[Int(label)] = Int32(labels.count) }
        labels.append(label)
        firstChild.append(0)
        childCount.append(0)
        values.append(-1)
        childCount[node] += 1
      }
    }
  }

  /// Whether a key starts with this byte.
  @inline(__always)
  func mayStart(_ byte: UInt8) -> Bool { roots[Int(byte)] != 0 }

  /// Calls `found` with the end and the value of each key that stands at `range.lowerBound`, shortest first.
  @inline(__always)
  func prefixes(_ text: Bytes, _ range: Range<Int>, _ found: (Int, Int32) -> Void) {
    guard !range.isEmpty else { return }
    var node = Int(roots[Int(text[range.lowerBound])])
    var at = range.lowerBound + 1
    while node != 0 {
      if values[node] >= 0 { found(at, values[node]) }
      guard at < range.upperBound else { return }
      node = child(node, text[at])
      at += 1
    }
  }

  @inline(__always)
  private func child(_ node: Int, _ label: UInt8) -> Int {
    var low = Int(firstChild[node])
    var high = low + Int(childCount[node])
    while high - low > 8 {
      let middle = (low + high) / 2
      if labels[middle] <= label { low = middle } else { high = middle }
    }
    while low < high {
      if labels[low] == label { return low }
      low += 1
    }
    return 0
  }
}
