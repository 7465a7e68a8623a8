import SwiftletOps
import SwiftletTensorCore

/// What a block does with each token on its own.
public protocol FeedForward {
  /// `[tokens, hidden]` to `[tokens, hidden]`.
  func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor
}

/// How a gate and what it lets through are joined.
public enum Activation: Hashable, Sendable {
  case silu
  case gelu(GELU)
  /// gpt-oss's; see `clampedSwiGLU`.
  case clampedSwish(alpha: Float, limit: Float)

  /// As ops call it.
  var gate: GateActivation {
    switch self {
    case .silu: .silu
    case .gelu(let kind): .gelu(kind)
    case .clampedSwish(let alpha, let limit): .clampedSwish(alpha: alpha, limit: limit)
    }
  }

  /// `activation(gate) · up`.
  func callAsFunction(_ gate: Tensor, _ up: Tensor) -> Tensor {
    switch self {
    case .silu: swiGLU(gate, up)
    case .gelu(let kind): geGLU(gate, up, kind)
    case .clampedSwish(let alpha, let limit): clampedSwiGLU(gate, up, alpha: alpha, limit: limit)
    }
  }
}

/// `down(activation(gate(x)) · up(x))` (Shazeer, 2020).
public final class GatedMLP: FeedForward {
  /// What the projections are called in Hugging Face files.
  public struct Names: Sendable {
    let gate: String
    let up: String
    let down: String
    /// `gate_proj up_proj down_proj`.
    public static let standard = Names(gate: "gate_proj", up: "up_proj", down: "down_proj")
    /// `w1 w3 w2` (Mixtral).
    public static let numbered = Names(gate: "w1", up: "w3", down: "w2")
  }

  private enum Inputs { case separate(gate: Linear, up: Linear), fused(Linear) }
  private let inputs: Inputs
  private let down: Linear
  private let activation: Activation
  private let inner: Int

  /// Separate projections for gate and up.
  /// - Parameter isAdaptable: as `Linear.isAdaptable`.
  public init(
    hidden: Int, inner: Int, activation: Activation, bias: Bool = false, names: Names = .standard, isAdaptable: Bool = true,
    _ scope: ParameterScope
  ) {
    func linear(_ name: String, _ inputs: Int, _ outputs: Int) -> Linear {
      scope.linear(name, in: inputs, out: outputs, bias: bias, isAdaptable: isAdaptable)
    }
    inputs = .separate(gate: linear(names.gate, hidden, inner), up: linear(names.up, hidden, inner))
    down = linear(names.down, inner, hidden)
    self.activation = activation
    self.inner = inner
  }

  /// One projection `gate_up_proj` for both, gate first (Phi-3).
  public init(fusedHidden hidden: Int, inner: Int, activation: Activation, _ scope: ParameterScope) {
    inputs = .fused(scope.linear("gate_up_proj", in: hidden, out: 2 * inner))
    down = scope.linear("down_proj", in: inner, out: hidden)
    self.activation = activation
    self.inner = inner
  }

  /// `x + mlp(norm(x))`, fused where the device has a node for it; nil where gate and up are one projection.
  func branch(_ x: Tensor, norm: RMSNorm, _ context: ForwardContext) -> Tensor? {
    guard case .separate(let gate, let up) = inputs else { return nil }
    let tape = x.trace?.tape
    return gatedMLPBranch(
      x, norm: norm.operands(on: tape), gate: gate.linearOperands(on: tape, context), up: up.linearOperands(on: tape, context),
      down: down.linearOperands(on: tape, context), activation: activation.gate, tileRows: context.tileRows)
  }

  /// `[tokens, hidden]` to `[tokens, hidden]`.
  public func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor {
    switch inputs {
    case .separate(let gate, let up): return down(activation(gate(x, context), up(x, context)), context)
    case .fused(let both):
      let halves = splitColumns(both(x, context), [inner, inner])
      return down(activation(halves[0], halves[1]), context)
    }
  }
}
