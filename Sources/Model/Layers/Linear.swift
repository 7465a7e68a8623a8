import SwiftletOps
import SwiftletTensorCore

/// `y = x Wᵀ + b`, with an adapter on top where there is one. How the weight is stored and whether it is adapted are states of this one
/// class: the same model code serves full training, LoRA, QLoRA and inference.
public final class Linear: Module {
  /// How the weight is stored.
  public enum State {
    /// float32, bfloat16 or float16, `[out, in]`.
    case dense(Parameter)
    /// In few bits, frozen: NF4, FP4, INT8, FP8 or the blocks of a GGUF file, `[out, in]`.
    case quantized(Parameter)
  }

  /// The path in Hugging Face files.
  public let path: String
  /// How the weight is stored now.
  public var state: State { weight.quantized == nil ? .dense(weight) : .quantized(weight) }
  /// `[out]`; nil for none.
  public private(set) var bias: Parameter?
  /// The adapter; nil for none.
  public var adapter: LoRAAdapter?
  /// Whether targets of an adapter may mean it: false for what is no linear layer of its own in Hugging Face's models (some routers, experts
  /// that are stacked in one tensor), so that PEFT would not find the adapter's place.
  public let isAdaptable: Bool

  init(path: String, weight: Parameter, bias: Parameter?, isAdaptable: Bool = true) {
    self.path = path
    self.isAdaptable = isAdaptable
    self.weight = weight
    self.bias = bias
  }

  /// The weight `[out, in]`.
  public private(set) var weight: Parameter
  /// Number of input features.
  public var inputs: Int { weight.shape[1] }
  /// Number of output features.
  public var outputs: Int { weight.shape[0] }
  /// Weight and bias, without the adapter's.
  public var parameters: [Parameter] { [weight] + (bias.map { [$0] } ?? []) }

  /// Puts another parameter in the place of weight or bias.
  public func replace(_ old: Parameter, with new: Parameter) {
    if weight === old { weight = new }
    if bias === old { bias = new }
  }

  /// The adapter's tensors for a pass; nil without an adapter or where the context leaves it out.
  public func operands(on tape: Tape?, _ context: ForwardContext) -> LoRAOperands? {
    context.usesAdapters ? adapter?.operands(on: tape, path: path, context) : nil
  }

  /// What ops need of the map for a pass.
  func linearOperands(on tape: Tape?, _ context: ForwardContext) -> LinearOperands {
    LinearOperands(
      weight: weight.weight(on: tape), bias: bias?.tensor(on: tape), lora: operands(on: tape, context),
      observer: context.inputObserver.map { observe in { observe(self, $0) } })
  }

  /// `[tokens, in]` to `[tokens, out]`, added to `residual` where there is one.
  public func callAsFunction(_ x: Tensor, _ context: ForwardContext, adding residual: Tensor? = nil) -> Tensor {
    linear(x, linearOperands(on: x.trace?.tape, context), adding: residual)
  }
}
