import SwiftletCUDA
import SwiftletTensorCore
import Synchronization

/// What a GPU's blocks work on: pieces of the sequences of a layout, eight numbers each (`QueryTile` and `KeyTile` of attention.cuh).
struct AttentionTiles {
  /// [tiles, 8], int32, on the GPU.
  let records: Tensor
  /// Number of tiles.
  var count: Int { records.shape.rows }

  /// Whose tiles: of queries, of keys for a backward pass whose query tiles have some size, or of queries in the order of rows.
  enum Kind: Hashable { case queries, rows, keys(queryTile: Int) }

  private struct Key: Hashable {
    let layout: SequenceLayout
    let causal: Bool
    let window: Int?
    let kind: Kind
    let size: Int
    let device: Device
  }

  // Of the last layouts, the newest at the end: all layers of a step share them.
  private static let known = Mutex<[(key: Key, tiles: Tensor)]>([])

  /// Gives back the memory of all kept tiles.
  static func forget() { known.withLock { $0 = [] } }

  /// The tiles of `size` rows for a plan, made once and kept for the next calls.
  init(_ kind: Kind, size: Int, _ plan: AttentionPlan, on device: Device) {
    let options = plan.options
    let key = Key(layout: plan.layout, causal: options.causal, window: options.window, kind: kind, size: size, device: device)
    records = Self.known.withLock { known in
      if let index = known.firstIndex(where: { $0.key == key }) {
        let found = known.remove(at: index)
        known.append(found)
        return found.tiles
      }
      let numbers = plan.tiles(kind, size: size)
      let tiles = Tensor(numbers.flatMap { $0 }, [numbers.count, 8], part: .workspace, on: device)
      if known.count == 32 { known.removeFirst() }
      known.append((key, tiles))
      return tiles
    }
  }
}

/// Gives back what attention keeps on GPUs between calls: the tiles of the last layouts, some kilobytes.
package func forgetAttentionTiles() { AttentionTiles.forget() }

/// The tiles of keys of Hopper's backward pass in the order in which blocks take them: eight numbers each (`KeyTile` of attention.cuh).
package func attentionKeyTiles(_ layout: SequenceLayout, _ options: AttentionOptions, size: Int, queryTile: Int) -> [[Int32]] {
  AttentionPlan(options: options, layout: layout).tiles(.keys(queryTile: queryTile), size: size)
}

extension AttentionPlan {
  /// The records of all tiles, in the order in which blocks take them.
  func tiles(_ kind: AttentionTiles.Kind, size: Int) -> [[Int32]] {
    switch kind {
    case .rows: queryTiles(size).map(\.record)
    // The longest first: the short ones fill what remains. Sorting keeps the order of equals.
    case .queries: longestFirst(queryTiles(size))
    case .keys(let queryTile): longestFirst(keyTiles(size, queryTile: queryTile))
    }
  }

  private typealias Tile = (work: Int, record: [Int32])

  private func longestFirst(_ tiles: [Tile]) -> [[Int32]] {
    tiles.enumerated().sorted { ($1.element.work, $0.offset) < ($0.element.work, $1.offset) }.map(\.element.record)
  }

  private func queryTiles(_ size: Int) -> [Tile] {
    var tiles: [Tile] = []
    for sequence in 0..<layout.count {
      let (queries, keys) = (queryCount(sequence), keyCount(sequence))
      for first in stride(from: 0, to: queries, by: size) {
        let count = min(size, queries - first)
        let numbers = [
          layout.queryStarts[sequence] + first, count, layout.keyStarts[sequence], keys, keys - queries + first, tiles.count, 0, 0,
        ]
        let work = visible(first + count - 1, in: sequence).upperBound - visible(first, in: sequence).lowerBound
        tiles.append((work, numbers.map(Int32.init)))
      }
    }
    return tiles
  }

  /// A tile of keys waits for those before it in its sequence: it must never stand before them. So a tile counts as at least as long as all
  /// that follow it.
  private func keyTiles(_ size: Int, queryTile: Int) -> [Tile] {
    var (tiles, place): ([Tile], Int) = ([], 0)
    for sequence in 0..<layout.count {
      let (queries, keys) = (queryCount(sequence), keyCount(sequence))
      var own: [Tile] = []
      for first in stride(from: 0, to: keys, by: size) {
        let count = min(size, keys - first)
        let numbers = [
          layout.keyStarts[sequence] + first, count, first, layout.queryStarts[sequence], queries, keys - queries, place, keys,
        ]
        own.append((seeing(first..<first + count, among: 0..<queries, in: sequence).count, numbers.map(Int32.init)))
      }
      for index in own.indices.dropLast().reversed() { own[index].work = max(own[index].work, own[index + 1].work) }
      tiles += own
      place += (queries + queryTile - 1) / queryTile
    }
    return tiles
  }
}
