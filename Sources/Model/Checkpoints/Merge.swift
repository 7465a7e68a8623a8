import SwiftletCPU
import SwiftletLayers
import SwiftletTensorCore

extension LoRAAdapter {
  /// The merged weight in float32: `W + scale · B A`, for DoRA each row brought to its trained length. Sums in float32, rank innermost.
  /// - Parameters:
  ///   - weight: the base weight in any float format.
  ///   - isEmbedding: whether the weight is a table `[vocabulary, dimension]`, whose update is `(B A)ᵀ`.
  func merged(_ weight: Tensor, isEmbedding: Bool) -> Tensor {
    let result = sum(weight, isEmbedding: isEmbedding)
    if let magnitude { rescale(result, magnitude.hostValue, columns: isEmbedding) }
    return result
  }

  private func rescale(_ weight: Tensor, _ magnitude: Tensor, columns alongColumns: Bool) {
    let lengths = LoRAAdapter.rowLengths(weight, ofColumns: alongColumns)
    let (values, wanted, found, columns) = (weight.floats, magnitude.floats, lengths.floats, weight.shape[1])
    for row in 0..<weight.shape[0] {
      for column in 0..<columns {
        let unit = alongColumns ? column : row
        values[row * columns + column] *= wanted[unit] / found[unit]
      }
    }
  }
}
