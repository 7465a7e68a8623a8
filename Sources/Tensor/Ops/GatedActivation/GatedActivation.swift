import SwiftletTensorCore

/// The two definitions of GELU.
public enum GELU: String, Sendable, Codable {
  /// `½x(1 + tanh(√(2/π)(x + 0.044715x³)))`
  case tanh
  /// `½x(1 + erf(x/√2))`
  case erf
}

/// `silu(gate) · up`, silu(x) = x·σ(x) (Shazeer, 2020).
///
/// - Parameters:
///   - gate: any shape, float32, on a GPU of any float format; `up` alike.
/// - Returns: the same shape.
///
/// Saves both inputs; the output is computed again where later ops want it in backward. Backward writes the inputs' gradients over them
/// where they are owned alone.
public func swiGLU(_ gate: Tensor, _ up: Tensor) -> Tensor { gated(gate, up, .silu) }

/// `gelu(gate) · up`. Shapes, saves and backward as `swiGLU`.
public func geGLU(_ gate: Tensor, _ up: Tensor, _ kind: GELU) -> Tensor {
  gated(gate, up, .gelu(kind))
}

/// `g · σ(alpha · g) · (u + 1)` with `g = min(gate, limit)` and `u` = `up` cut to ±limit (gpt-oss). Where an input is cut, its gradient is 0.
/// Shapes, saves and backward as `swiGLU`.
/// - Precondition: both numbers are over 0.
public func clampedSwiGLU(_ gate: Tensor, _ up: Tensor, alpha: Float = 1.702, limit: Float = 7) -> Tensor {
  precondition(alpha > 0 && limit > 0, "a clamped gate with alpha \(alpha), limit \(limit)")
  return gated(gate, up, .clampedSwish(alpha: alpha, limit: limit))
}

private func gated(_ gate: Tensor, _ up: Tensor, _ activation: GateActivation) -> Tensor {
  precondition(gate.shape == up.shape && gate.dtype == up.dtype, "gate \(gate.dtype) \(gate.shape) and up \(up.dtype) \(up.shape) differ")
  let output = activation.gate(gate, up)
  guard let tape = tape(of: gate, up) else { return output }
  return tape.record(
    "gated", [gate, up], saving: [gate, up], outputs: [output], remaking: { activation.gate($0[0], $0[1]) }
  ) { context in
    guard let gradient = context.take() else { return [nil, nil] }
    var gate = context.takeSaved(0)
    var up = context.takeSaved(1)
    if gate.device.isCUDA { return activation.backwardOnGPU(consume gate, consume up, gradient) }
    let (gateGradient, upGradient) = (gate.target(), up.target())
    activation.backward(
      gate.pointer, up.pointer, gradient.pointer, count: gate.count, gate: gateGradient.pointer, up: upGradient.pointer)
    return [gateGradient, upGradient]
  }[0]
}
