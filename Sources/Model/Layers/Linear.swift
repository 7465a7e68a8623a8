import SwiftletOps
import SwiftletTensorCore

/// `y = x Wᵀ + b`, with an adapter on top where there is one. How the weight is stored and whether it is adapted are states of this one
/// class: the same model code serves full training, LoRA, QLoRA and inference.
public final class Linear: Module {
  /// How the weight is stored.
  public enum State {
    /// float32, bfloat16 or float16, `[out, in]`.
    case dense(Parameter)
  }

  /// The path in Hugging Face files.
  public let path: String
  /// How the weight is stored now.
  public private(set) var state: State
  /// `[out]`; nil for none.
  public private(set) var bias: Parameter?
  /// The adapter; nil for none.
  public var adapter: LoRAAdapter?

  init(path: String, weight: Parameter, bias: Parameter?) {
    self.path = path
    state = .dense(weight)
    self.bias = bias
  }

  /// The weight `[out, in]`.
  public var weight: Parameter {
    switch state {
    case .dense(let weight): weight
    }
  }
  /// Number of input features.
  public var inputs: Int { weight.shape[1] }
  /// Number of output features.
  public var outputs: Int { weight.shape[0] }
  /// Weight and bias, without the adapter's.
  public var parameters: [Parameter] { [weight] + (bias.map { [$0] } ?? []) }

  /// Puts another parameter in the place of weight or bias.
  public func replace(_ old: Parameter, with new: Parameter) {
    if weight === old { state = .dense(new) }
    if bias === old { bias = new }
  }

  /// The adapter's tensors for a pass; nil without an adapter or where the context leaves it out.
  public func operands(on tape: Tape?, _ context: ForwardContext) -> LoRAOperands? {
    context.usesAdapters ? adapter?.operands(on: tape, path: path, context) : nil
  }

  /// `[tokens, in]` to `[tokens, out]`.
  public func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor {
    let tape = x.trace?.tape
    let bias = bias?.tensor(on: tape)
    guard let lora = operands(on: tape, context) else { return linear(x, weight.tensor(on: tape), bias: bias) }
    return loraLinear(x, weight.tensor(on: tape), bias: bias, lora: lora)
  }
}
