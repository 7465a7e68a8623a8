import SwiftletOps
import SwiftletTensorCore
import Testing

/// The order in which blocks of Hopper's backward pass add to dq. One that waits for a block that has not begun would wait for ever.
@Suite struct AttentionTileTests {
  static let (keys, queries) = (128, 64)

  /// Layouts with and without a cache, windows narrow and wide.
  static let cases: [(SequenceLayout, window: Int?, causal: Bool)] = {
    let layouts = [
      SequenceLayout(lengths: [1000, 1, 0, 129, 64, 513]), SequenceLayout(queryStarts: [0, 5, 405], keyStarts: [0, 900, 2000]),
      SequenceLayout(lengths: [2048]), SequenceLayout(lengths: []),
    ]
    return layouts.flatMap { layout in
      [(layout, nil, true), (layout, nil, false)] + [1, 63, 128, 333, 5000].map { (layout, $0, true) }
    }
  }()

  @Test(arguments: cases.indices) func laterKeysWaitForEarlierOnes(_ index: Int) {
    let (layout, window, causal) = Self.cases[index]
    let options = AttentionOptions(heads: 2, keyValueHeads: 1, headDimension: 64, scale: 1, causal: causal, window: window)
    let tiles = attentionKeyTiles(layout, options, size: Self.keys, queryTile: Self.queries)
    // The kernel's own arithmetic: how many have added before, for each tile of queries, in the order in which blocks begin.
    var added: [Int: Int] = [:]
    var rows = Set<Int>()
    for tile in tiles {
      let (row, count, first, queries, offset, place) = (tile[0], tile[1], tile[2], tile[4], tile[5], tile[6])
      for key in row..<row + count { #expect(rows.insert(Int(key)).inserted) }
      let begin = causal ? max(0, Int(first) - Int(offset)) : 0
      let end = causal ? min(Int(queries), Int(first + count) - 1 + (window ?? 1 << 29) - Int(offset)) : Int(queries)
      if begin >= end { continue }
      for block in begin / Self.queries..<(end + Self.queries - 1) / Self.queries {
        let position = Int(offset) + block * Self.queries
        let firstSeen = causal ? max(0, position - (window ?? 1 << 29) + 1) : 0
        let order = (Int(first) - firstSeen / Self.keys * Self.keys) / Self.keys
        #expect(order == added[Int(place) + block, default: 0], "layout \(index), keys from \(first), queries \(block)")
        added[Int(place) + block] = order + 1
      }
    }
    #expect(rows.count == layout.keys)
    // Every tile of queries gets something: what nobody has written would be read.
    let places = (0..<layout.count).map { (layout.queryStarts[$0 + 1] - layout.queryStarts[$0] + Self.queries - 1) / Self.queries }
    #expect(added.count == places.reduce(0, +))
  }
}
