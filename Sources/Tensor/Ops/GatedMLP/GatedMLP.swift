import SwiftletTensorCore

/// An RMSNorm as a fused op takes it.
public struct RMSNormOperands {
  /// [features].
  public var weight: Tensor
  /// ε under the root.
  public var epsilon: Float
  /// Whether the factor is 1 + weight.
  public var unitOffset: Bool

  /// The operands of `rmsNorm`.
  public init(weight: Tensor, epsilon: Float, unitOffset: Bool) {
    self.weight = weight
    self.epsilon = epsilon
    self.unitOffset = unitOffset
  }
}

extension RMSNormOperands {
  func form(_ rows: Int) -> RMSNormForm {
    RMSNormForm(rows: rows, columns: weight.count, epsilon: epsilon, offset: unitOffset ? 1 : 0)
  }
}

/// How a gate and what it lets through are joined.
public enum GateActivation: Hashable, Sendable {
  /// `silu(gate) · up`
  case silu
  /// `gelu(gate) · up`
  case gelu(GELU)
  /// `g · σ(alpha · g) · (u + 1)`, the gate cut at `limit`, `up` at ±limit (gpt-oss).
  case clampedSwish(alpha: Float, limit: Float)

  /// The gate's op.
  func callAsFunction(_ gate: Tensor, _ up: Tensor) -> Tensor {
    switch self {
    case .silu: swiGLU(gate, up)
    case .gelu(let kind): geGLU(gate, up, kind)
    case .clampedSwish(let alpha, let limit): clampedSwiGLU(gate, up, alpha: alpha, limit: limit)
    }
  }
}

/// `x + down(f(gate(n)) · up(n))` with `n = rmsNorm(x)`: the feed-forward half of a pre-norm block (Shazeer, 2020).
///
/// - Parameters:
///   - x: [tokens, features].
///   - tileRows: on a GPU, tokens that go through the wide middle together; nil for all. Fewer cost less memory, more dequantise less often.
/// - Returns: [tokens, features].
///
/// On the CPU, and where an operand is of a kind that the fused node does not know (a trained weight or bias, DoRA
/// with dropout, a rank that is no multiple of 8), this is the sequence of its ops. On a GPU it is one node; see `GPUGatedMLP`.
public func gatedMLPBranch(
  _ x: Tensor, norm: RMSNormOperands, gate: LinearOperands, up: LinearOperands, down: LinearOperands, activation: GateActivation,
  tileRows: Int? = nil
) -> Tensor {
  if x.device.isCUDA, let fused = GPUGatedMLP(x, norm, gate, up, down, activation, tileRows) { return fused.record(x) }
  let n = rmsNorm(x, weight: norm.weight, epsilon: norm.epsilon, unitOffset: norm.unitOffset)
  let h = activation(project(n, gate, "linear"), project(n, up, "linear"))
  return project(h, down, "linear", adding: x)
}
