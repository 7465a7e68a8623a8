import SwiftletOps
import SwiftletTensorCore

/// A norm over the last axis.
public protocol Norm: Module {
  /// Same shape.
  func callAsFunction(_ x: Tensor) -> Tensor
}

/// `x / rms(x) · w`, or `· (1 + w)` (Zhang and Sennrich, 2019).
public final class RMSNorm: Norm {
  /// The path in Hugging Face files.
  public let path: String
  /// `[dimension]`.
  public private(set) var weight: Parameter
  let epsilon: Float
  let unitOffset: Bool

  init(path: String, weight: Parameter, epsilon: Float, unitOffset: Bool) {
    self.path = path
    self.weight = weight
    self.epsilon = epsilon
    self.unitOffset = unitOffset
  }

  /// The weight.
  public var parameters: [Parameter] { [weight] }
  /// Puts another weight in the place of this one.
  public func replace(_ old: Parameter, with new: Parameter) { if weight === old { weight = new } }
  /// What fused ops need of it.
  func operands(on tape: Tape?) -> RMSNormOperands {
    RMSNormOperands(weight: weight.tensor(on: tape), epsilon: epsilon, unitOffset: unitOffset)
  }
  /// Same shape; each row of the last axis on its own.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    rmsNorm(x, weight: weight.tensor(on: x.trace?.tape), epsilon: epsilon, unitOffset: unitOffset)
  }
}

/// `(x − mean) / √(variance + ε) · w + b` (Ba et al., 2016).
public final class LayerNorm: Norm {
  /// The path in Hugging Face files.
  public let path: String
  /// `[dimension]`.
  public private(set) var weight: Parameter
  /// `[dimension]`; nil for none.
  public private(set) var bias: Parameter?
  let epsilon: Float

  init(path: String, weight: Parameter, bias: Parameter?, epsilon: Float) {
    self.path = path
    self.weight = weight
    self.bias = bias
    self.epsilon = epsilon
  }

  /// Weight and bias.
  public var parameters: [Parameter] { [weight] + (bias.map { [$0] } ?? []) }
  /// Puts another parameter in the place of weight or bias.
  public func replace(_ old: Parameter, with new: Parameter) {
    if weight === old { weight = new }
    if bias === old { bias = new }
  }
  /// Same shape; each row of the last axis on its own.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    let tape = x.trace?.tape
    return layerNorm(x, weight: weight.tensor(on: tape), bias: bias?.tensor(on: tape), epsilon: epsilon)
  }
}
