import SwiftletOps
import SwiftletTensorCore

extension LoRAAdapter {
  /// `W + scale · B A` in float32; of a table `[vocabulary, dimension]`, whose update is `(B A)ᵀ`. Sums in float32, rank innermost.
  package func sum(_ weight: Tensor, isEmbedding: Bool) -> Tensor {
    let result = weight.converted(to: .float32, part: .workspace)
    let (left, right) = isEmbedding ? (a.hostValue.transposed, b.hostValue.transposed) : (b.hostValue, a.hostValue)
    addProduct(left, right, scale, into: result)
    return result
  }

  /// `into += scale · left right` with left `[rows, rank]`, right `[rank, columns]`.
  private func addProduct(_ left: Tensor, _ right: Tensor, _ scale: Float, into: Tensor) {
    let (rows, rank, columns) = (left.shape[0], left.shape[1], right.shape[1])
    let (l, r, out) = (left.floats, right.floats, into.floats)
    withExtendedLifetime((left.storage, right.storage)) {
      forRows(rows, columns: columns * rank) { i in
        withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { row in
          row.initialize(repeating: 0)
          for k in 0..<rank {
            let factor = l[i * rank + k]
            for c in 0..<columns { row[c] += factor * r[k * columns + c] }
          }
          for c in 0..<columns { out[i * columns + c] += scale * row[c] }
        }
      }
    }
  }
}

extension Tensor {
  /// A float32 matrix with rows and columns exchanged, in new memory.
  var transposed: Tensor {
    let result = Tensor(uninitialized: [shape[1], shape[0]], part: .workspace)
    let (from, into, rows, columns) = (floats, result.floats, shape[0], shape[1])
    for r in 0..<rows { for c in 0..<columns { into[c * rows + r] = from[r * columns + c] } }
    return result
  }
}
