import SwiftletCUDA
import SwiftletTensorCore

/// Magnitudes in a group: each map's outputs are computed as with a plain adapter and multiplied in place; backward multiplies what arrives
/// and is a plain adapter's from there on.
extension GPULinearGroup {
  /// The factors of the maps that have a magnitude.
  func scales(like x: Tensor) -> [MagnitudeScale?] {
    zip(weights, loras).map { weight, lora in lora.magnitude.map { MagnitudeScale(weight, lora, $0, like: x) } }
  }

  /// Multiplies the outputs' gradients by their factors, and returns the magnitudes' gradients.
  ///
  /// The outputs without factor are computed again for these, which costs less than keeping them: in place outputs have gone on to the rotation.
  func takeMagnitudes(from gradients: inout [Tensor?], _ x: Tensor, _ h: Tensor, _ context: inout BackwardContext) -> [Tensor?] {
    let scales = savedScales(context)
    var results: [Tensor?] = []
    for (index, scale) in scales.enumerated() {
      guard let scale else { continue }
      let place = 1 + 2 * loras.count + results.count
      var taken: Tensor?
      swap(&taken, &gradients[index])
      guard var dy = (consume taken)?.reshaped([x.shape.rows, weights[index].outputs]) else {
        results.append(nil)
        continue
      }
      let target = context.sum(place, scale.magnitude.shape, on: x.device)
      let scaled = dy.target()
      scale.gradient(dy, into: DeviceRows(scaled), u: target.map { _ in withoutFactor(index, x, h) }, addingTo: target)
      gradients[index] = scaled
      results.append(target)
    }
    return results
  }

  /// The factors out of what the node saved: behind x, h and the adapters all magnitudes, then all norms.
  private func savedScales(_ context: BackwardContext) -> [MagnitudeScale?] {
    let rest = context.saved.dropFirst(2 + 2 * loras.count)
    var pairs = zip(rest.prefix(rest.count / 2), rest.suffix(rest.count / 2)).makeIterator()
    return loras.map { lora in
      lora.magnitude == nil ? nil : pairs.next().map { MagnitudeScale(magnitude: $0, norms: $1) }
    }
  }

  /// `x·Wᵀ + s·h·Bᵀ` of map `index`.
  private func withoutFactor(_ index: Int, _ x: Tensor, _ h: Tensor) -> Tensor {
    let (lora, weight, rows) = (loras[index], weights[index], x.shape.rows)
    let u = x.fresh(rows, weight.outputs)
    x.gpu.blas.multiply(
      h.block(first: starts[index], columns: lora.rank), lora.b.transposedMatrix, into: u.matrix, m: rows, n: weight.outputs, k: lora.rank,
      alpha: lora.scale)
    weight.withDense(x.dtype, on: x.device) { dense in
      x.gpu.blas.multiply(x.matrix, dense.transposedMatrix, into: u.matrix, m: rows, n: weight.outputs, k: weight.inputs, beta: 1)
    }
    return u
  }
}
