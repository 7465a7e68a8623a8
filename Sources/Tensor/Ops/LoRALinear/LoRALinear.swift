import SwiftletTensorCore

/// `y = x·Wᵀ + s·drop(x)·Aᵀ·Bᵀ + bias`, with DoRA times `magnitude / ‖W + s·B·A‖`: a linear map with its low-rank adapter (Hu et al., 2021;
/// Liu et al., 2024) as one node.
///
/// - Parameters:
///   - x: [tokens, in], float32.
///   - weight: [out, in], float32, bfloat16 or float16. Frozen, it gets no gradient and costs none.
///   - lora: the adapter.
/// - Returns: [tokens, out].
///
/// Saves `x` and `drop(x)·Aᵀ`. Backward: dz = s·dy·B; dA = dzᵀ·drop(x); dB = s·dyᵀ·h; dx = dy·W + drop(dz·A).
public func loraLinear(_ x: Tensor, _ weight: Tensor, bias: Tensor? = nil, lora: LoRAOperands) -> Tensor {
  project(x, Projection(weight: weight, bias: bias, lora: lora), "loraLinear")
}

/// Records a projection as one node.
func project(_ x: Tensor, _ projection: Projection, _ name: StaticString) -> Tensor {
  let (rows, inputs) = (x.shape.rows, projection.inputs)
  precondition(x.shape.columns == inputs, "\(name): input \(x.shape) meets weight \(projection.weight.shape)")
  let output = Tensor(uninitialized: x.shape.withColumns(projection.outputs))
  let h = projection.forward(x.pointer, rows: rows, into: output.pointer)
  guard let tape = tape(of: [x] + projection.parameters) else { return output }
  let wantsInput = [projection.weight, projection.lora?.a, projection.lora?.magnitude].contains { $0?.needsGradient ?? false }
  let (form, shape) = (projection.form, x.shape)
  let saved = projection.tensors + [h].compactMap { $0 } + (wantsInput ? [x] : [])
  return tape.record(name, [x] + projection.parameters, saving: saved, outputs: [output]) { context in
    guard let gradient = context.take() else { return context.needs.map { _ in nil } }
    let projection = Projection(form, from: context.saved)
    let rest = context.saved.dropFirst(projection.tensors.count)
    let h = form.scale == nil ? nil : rest.first
    let x = wantsInput ? rest.last : nil
    let target = context.needs[0] ? context.destination(0, shape) : nil
    let gradients = ProjectionGradients(projection, context: &context, first: 1)
    projection.backward(
      gradient.pointer, x: x.map { UnsafePointer($0.pointer) }, h: h, rows: rows, dx: target?.tensor.pointer,
      accumulate: target?.accumulate ?? false, gradients: gradients)
    return [target?.tensor] + gradients.list(form)
  }[0]
}
