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
  project(x, LinearOperands(weight: .dense(weight), bias: bias), "linear")
}

/// A linear map with whatever sits on it, `residual` [tokens, out] added to its output where there is one.
///
/// On a GPU `x` may be bfloat16, float16 or float32, the output has its format, the products sum in float32, and the residual costs no pass
/// over memory of its own. Gradients as `linear` and `loraLinear`; the residual's is the output's.
public func linear(_ x: Tensor, _ operands: LinearOperands, adding residual: Tensor? = nil) -> Tensor {
  project(x, operands, operands.lora == nil ? "linear" : "loraLinear", adding: residual)
}

/// `linear` of each part with its own weight: the products of a mixture of experts. Parts may be empty; an expert without tokens gets no
/// gradient.
public func groupedLinear(_ xs: [Tensor], _ weights: [Tensor]) -> [Tensor] {
  precondition(xs.count == weights.count, "\(xs.count) parts for \(weights.count) weights")
  return zip(xs, weights).map { linear($0, $1) }
}
