import SwiftletTensorCore

/// The adapter of one linear map as an op takes it.
public struct LoRAOperands {
  /// [rank, in], float32.
  public var a: Tensor
  /// [out, rank], float32.
  public var b: Tensor
  /// α/r, or α/√r for rsLoRA.
  public var scale: Float
  /// What the adapter's input goes through.
  public var dropout: Dropout?
  /// DoRA's magnitude [out], float32; the norm that it is divided by carries no gradient, as in PEFT.
  public var magnitude: Tensor?

  /// The operands of `y += scale · B · A · x`.
  public init(a: Tensor, b: Tensor, scale: Float, dropout: Dropout? = nil, magnitude: Tensor? = nil) {
    precondition(a.shape.rank == 2 && b.shape.rank == 2 && a.shape[0] == b.shape[1], "LoRA matrices A \(a.shape), B \(b.shape)")
    self.a = a
    self.b = b
    self.scale = scale
    self.dropout = dropout.flatMap { $0.probability > 0 ? $0 : nil }
    self.magnitude = magnitude
  }

  var rank: Int { a.shape[0] }
}

/// A linear map with all that may sit on it: the one definition behind `linear`, `loraLinear` and the language-model head.
///
/// `y = x·Wᵀ + s·drop(x)·Aᵀ·Bᵀ + bias`; with DoRA the sum of both products is multiplied by `magnitude / ‖W + s·B·A‖` per output before
/// the bias (where dropout is active, the part of `W` that DoRA adds sees the dropped input: PEFT's formula).
struct Projection {
  let weight: LinearWeight
  let bias: Tensor?
  let lora: LoRAOperands?
  /// ‖W + s·B·A‖ for each output; set with DoRA.
  var norms: Tensor?

  init(weight: LinearWeight, bias: Tensor?, lora: LoRAOperands?) {
    if let shape = weight.trained?.shape { precondition(shape.rank == 2, "a weight [out, in] is wanted, not \(shape)") }
    self.weight = weight
    self.bias = bias
    self.lora = lora
    if let bias { precondition(bias.count == outputs, "bias \(bias.shape) for weight \(weight.shape)") }
    guard let lora else { return }
    precondition(
      lora.a.shape.columns == inputs && lora.b.shape[0] == outputs, "LoRA A \(lora.a.shape), B \(lora.b.shape) on weight \(weight.shape)")
    if let magnitude = lora.magnitude {
      precondition(magnitude.count == outputs, "DoRA magnitude \(magnitude.shape) for weight \(weight.shape)")
      norms = doraNorms(lora)
    }
  }

  var inputs: Int { weight.inputs }
  var outputs: Int { weight.outputs }

  /// What a node keeps of the map, in the order that `init(_:frozen:from:)` reads. A quantised weight is the model's own and stays.
  var tensors: [Tensor] { [weight.trained, bias, lora?.a, lora?.b, lora?.magnitude, norms].compactMap { $0 } }

  /// The tensors that may want gradients, in the order of `ProjectionGradients.list`; nil in the place of a quantised weight.
  var parameters: [Tensor?] {
    let rest: [Tensor] = [bias, lora?.a, lora?.b, lora?.magnitude].compactMap { $0 }
    return [weight.trained] + rest
  }

  /// What remains of the map when its tensors are taken away: what a backward rule may capture.
  var form: Form { Form(hasBias: bias != nil, scale: lora?.scale, dropout: lora?.dropout, hasMagnitude: norms != nil) }

  struct Form {
    let hasBias: Bool
    let scale: Float?
    let dropout: Dropout?
    let hasMagnitude: Bool
  }

  /// The map again from a node's saved tensors: the weight, unless it is `frozen`, and what sits on it.
  init(_ form: Form, frozen: QuantizedMatrix?, from saved: some Sequence<Tensor>) {
    var rest = Array(saved)[...]
    let next = { (wanted: Bool) -> Tensor? in wanted ? rest.popFirst() : nil }
    guard let weight = frozen.map(LinearWeight.quantized) ?? next(true).map(LinearWeight.dense) else {
      preconditionFailure("a projection was saved without its weight")
    }
    self.weight = weight
    bias = next(form.hasBias)
    let a = next(form.scale != nil)
    let b = next(form.scale != nil)
    let magnitude = next(form.hasMagnitude)
    norms = next(form.hasMagnitude)
    if let scale = form.scale, let a, let b {
      lora = LoRAOperands(a: a, b: b, scale: scale, dropout: form.dropout, magnitude: magnitude)
    } else {
      lora = nil
    }
  }
}
