import SwiftletCPU
import SwiftletTensorCore

/// The operands of an embedding.
struct EmbeddingTable {
  let weight: LinearWeight
  let a: Tensor?
  let b: Tensor?
  let loraScale: Float
  let scale: Float

  var vocabulary: Int { weight.outputs }
  var dimension: Int { weight.inputs }

  /// The rows of `ids` and, with an adapter, `A[:, id]` [tokens, rank].
  func forward(_ ids: UnsafeMutableBufferPointer<Int32>) -> (Tensor, Tensor?) {
    let output = Tensor(uninitialized: [ids.count, dimension])
    let (target, dimension, scale) = (output.pointer, dimension, scale)
    switch weight {
    case .dense(let table):
      forRows(ids.count, columns: dimension) { row in
        convert(table, from: Int(ids[row]) * dimension, count: dimension, to: target + row * dimension)
      }
    case .quantized(let table): table.gather(ids, into: output)
    }
    let h = addAdapter(ids, to: target)
    if scale != 1 { forElements(ids.count * dimension) { for i in $0 { target[i] *= scale } } }
    return (output, h)
  }

  private func addAdapter(_ ids: UnsafeMutableBufferPointer<Int32>, to target: UnsafeMutablePointer<Float>) -> Tensor? {
    guard let a, let b else { return nil }
    let rank = a.shape[0]
    let h = Tensor(uninitialized: [ids.count, rank])
    let (columns, picked, vocabulary) = (a.pointer, h.pointer, vocabulary)
    for (row, id) in ids.enumerated() {
      for r in 0..<rank { picked[row * rank + r] = columns[r * vocabulary + Int(id)] }
    }
    product(MatrixView(h), MatrixView(b).T, into: target, m: ids.count, n: dimension, k: rank, accumulate: true, alpha: loraScale)
    return h
  }

  /// Adds to the gradients of [weight, a, b].
  func backward(_ dy: Tensor, ids: UnsafeMutableBufferPointer<Int32>, h: Tensor?, _ targets: [Tensor?]) {
    let (gradient, dimension, scale) = (dy.pointer, dimension, scale)
    if let target = targets[0]?.pointer {
      // Columns in parallel, so that tokens with the same id meet in a fixed order.
      parallelFor(dimension, grain: max(16, (1 << 15) / max(ids.count, 1))) { range in
        for (row, id) in ids.enumerated() {
          let (from, into) = (gradient + row * dimension, target + Int(id) * dimension)
          for j in range { into[j] += scale * from[j] }
        }
      }
    }
    guard let a, let b, let h else { return }
    let (rank, vocabulary, factor) = (a.shape[0], vocabulary, scale * loraScale)
    if let target = targets[2] {
      product(MatrixView(dy).T, MatrixView(h), into: target.pointer, m: dimension, n: rank, k: ids.count, accumulate: true, alpha: factor)
    }
    guard let target = targets[1]?.pointer else { return }
    let dz = Tensor(uninitialized: [ids.count, rank], part: .workspace)
    product(MatrixView(dy), MatrixView(b), into: dz.pointer, m: ids.count, n: rank, k: dimension, alpha: factor)
    for (row, id) in ids.enumerated() {
      for r in 0..<rank { target[r * vocabulary + Int(id)] += dz.pointer[row * rank + r] }
    }
  }
}

extension QuantizedMatrix {
  /// Writes the rows of `ids` of a matrix in host memory as float32, [ids, in].
  func gather(_ ids: UnsafeMutableBufferPointer<Int32>, into output: Tensor) {
    for (row, id) in ids.enumerated() { dequantize(rows: Int(id)..<Int(id) + 1, into: output.rows(row..<row + 1)) }
  }
}
