import SwiftletLayers
import SwiftletOps
import SwiftletTensorCore

/// Rows of one layer of one sequence in one piece of memory that grows by whole blocks.
struct GrowingRows {
  private var rows: Tensor
  private(set) var count = 0

  init(like new: Tensor, capacity: Int) {
    rows = Tensor(uninitialized: [capacity, new.shape[1]], new.dtype, part: .cache, on: new.device)
  }

  /// All rows.
  var filled: Tensor { rows.rows(0..<count) }

  /// Appends rows `range` of `new`, of the same format with as many columns. `limit` is what the sequence needs at most.
  mutating func append(_ new: Tensor, _ range: Range<Int>, limit: Int) {
    let columns = rows.shape[1]
    let capacity = rows.shape[0]
    if count + range.count > capacity {
      // Doubling keeps the copying linear; the last piece is no larger than what was reserved.
      let wanted = max(count + range.count, min(2 * capacity, limit))
      let larger = Tensor(
        uninitialized: [BlockManager.blocks(for: wanted) * BlockManager.blockSize, columns], rows.dtype, part: .cache, on: rows.device)
      larger.rows(0..<count).copyElements(of: filled)
      rows = larger
    }
    rows.rows(count..<count + range.count).copyElements(of: new.rows(range))
    count += range.count
  }
}

/// Keys and values of one sequence, a pair of growing tensors per layer, float32 as the forward pass computes them.
final class SequenceCache {
  private var layers: [(keys: GrowingRows, values: GrowingRows)?] = []
  private let limit: Int

  /// A cache for at most `limit` tokens.
  init(limit: Int) { self.limit = limit }

  /// Appends rows `range` of `keys` and `values` to `layer` and returns all that it has.
  func append(layer: Int, keys: Tensor, values: Tensor, _ range: Range<Int>) -> (keys: Tensor, values: Tensor) {
    while layers.count <= layer { layers.append(nil) }
    let first = BlockManager.blocks(for: max(1, min(limit, max(range.count, BlockManager.blockSize)))) * BlockManager.blockSize
    var rows =
      layers[layer] ?? (GrowingRows(like: keys, capacity: first), GrowingRows(like: values, capacity: first))
    layers[layer] = nil
    rows.keys.append(keys, range, limit: limit)
    rows.values.append(values, range, limit: limit)
    layers[layer] = rows
    return (rows.keys.filled, rows.values.filled)
  }
}

/// The caches of the sequences of one forward pass, in the order of the pass.
final class ContiguousCache: KeyValueCache {
  private let sequences: [SequenceCache]

  init(_ sequences: [SequenceCache]) { self.sequences = sequences }

  func append(layer: Int, keys: Tensor, values: Tensor, layout: SequenceLayout, window: Int?) -> (keys: [Tensor], values: [Tensor]) {
    let all = sequences.indices.map { index in
      sequences[index].append(layer: layer, keys: keys, values: values, layout.queryStarts[index]..<layout.queryStarts[index + 1])
    }
    return (all.map(\.keys), all.map(\.values))
  }
}
