import SwiftletTensorCore

/// A linear map as an op takes it: the weight as it is stored, and what sits on it.
public struct LinearOperands {
  /// [out, in].
  public var weight: LinearWeight
  /// [out].
  public var bias: Tensor?
  /// The adapter.
  public var lora: LoRAOperands?
  /// Sees the input [tokens, in] before it is used. Such a map is a node of its own, as a fused one never shows all its inputs.
  public var observer: ((Tensor) -> Void)?

  /// The operands of `x·Wᵀ + s·drop(x)·Aᵀ·Bᵀ + bias`.
  public init(weight: LinearWeight, bias: Tensor? = nil, lora: LoRAOperands? = nil, observer: ((Tensor) -> Void)? = nil) {
    self.weight = weight
    self.bias = bias
    self.lora = lora
    self.observer = observer
  }
}

extension LinearOperands {
  /// Bias and the adapter's tensors, in the order of `Projection.parameters` behind the weight.
  var rest: [Tensor] { [bias, lora?.a, lora?.b, lora?.magnitude].compactMap { $0 } }

  /// What remains when the tensors are taken away: what a backward rule may capture.
  var form: Projection.Form {
    Projection.Form(hasBias: bias != nil, scale: lora?.scale, dropout: lora?.dropout, hasMagnitude: lora?.magnitude != nil)
  }

  /// The map again from a node's saved tensors: the weight, unless it is `frozen`, then `rest`.
  init(_ form: Projection.Form, frozen: QuantizedMatrix?, from saved: some Sequence<Tensor>) {
    var tensors = Array(saved)[...]
    if let frozen {
      weight = .quantized(frozen)
    } else {
      weight = .dense(tensors.removeFirst())
    }
    bias = form.hasBias ? tensors.removeFirst() : nil
    guard let scale = form.scale else { return }
    let (a, b) = (tensors.removeFirst(), tensors.removeFirst())
    lora = LoRAOperands(
      a: a, b: b, scale: scale, dropout: form.dropout, magnitude: form.hasMagnitude ? tensors.removeFirst() : nil)
  }

  /// The map as the CPU computes it.
  var cpuProjection: Projection { Projection(weight: weight, bias: bias, lora: lora) }
}
