import SwiftletTensorCore

/// `y = x·Wᵀ + bias`.
///
/// - Parameters:
///   - x: [tokens, in], float32.
///   - weight: [out, in], float32, bfloat16 or float16; computation is in float32.
///   - bias: [out].
/// - Returns: [tokens, out].
///
/// Saves `x` only where a parameter wants a gradient. Backward: dx = dy·W, dW = dyᵀ·x, db = Σ dy.
public func linear(_ x: Tensor, _ weight: Tensor, bias: Tensor? = nil) -> Tensor {
  project(x, Projection(weight: weight, bias: bias, lora: nil), "linear")
}

/// `linear` of each part with its own weight: the products of a mixture of experts. Parts may be empty; an expert without tokens gets no
/// gradient.
public func groupedLinear(_ xs: [Tensor], _ weights: [Tensor]) -> [Tensor] {
  precondition(xs.count == weights.count, "\(xs.count) parts for \(weights.count) weights")
  return zip(xs, weights).map { linear($0, $1) }
}
