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
  project(x, LinearOperands(weight: .dense(weight), bias: bias, lora: lora), "loraLinear")
}

/// Records a linear map as one node; `residual` is added to its output.
func project(_ x: Tensor, _ operands: LinearOperands, _ name: StaticString, adding residual: Tensor? = nil) -> Tensor {
  precondition(x.shape.columns == operands.weight.inputs, "\(name): input \(x.shape) meets weight \(operands.weight.shape)")
  operands.observer?(x)
  if x.device.isCUDA { return gpuProject(x, operands, name, adding: residual) }
  let output = cpuProject(x, operands, name)
  return residual.map { add($0, output) } ?? output
}

private func cpuProject(_ x: Tensor, _ operands: LinearOperands, _ name: StaticString) -> Tensor {
  let rows = x.shape.rows
  let projection = operands.cpuProjection
  let output = Tensor(uninitialized: x.shape.withColumns(projection.outputs))
  let h = projection.forward(x.pointer, rows: rows, into: output.pointer)
  let traces = ([x] + projection.parameters).map { $0?.trace }
  guard let tape = tape(of: [x] + projection.parameters) else { return output }
  let wantsInput = [projection.weight.trained, projection.lora?.a, projection.lora?.magnitude].contains { $0?.needsGradient ?? false }
  let (form, shape) = (projection.form, x.shape)
  let (frozen, kept) = (operands.weight.quantized, projection.tensors)
  let saved = kept + [h].compactMap { $0 } + (wantsInput ? [x] : [])
  return tape.record(name, traces, saving: saved, outputs: [output]) { context in
    guard let gradient = context.take() else { return context.needs.map { _ in nil } }
    let projection = Projection(form, frozen: frozen, from: context.saved)
    let rest = context.saved.dropFirst(kept.count)
    let h = form.scale == nil ? nil : rest.first
    let x = wantsInput ? rest.last : nil
    let target = context.needs[0] ? context.destination(0, shape) : nil
    let gradients = ProjectionGradients(projection.parameters, form, context: &context, first: 1)
    projection.backward(
      gradient.pointer, x: x.map { UnsafePointer($0.pointer) }, h: h, rows: rows, dx: target?.tensor.pointer,
      accumulate: target?.accumulate ?? false, gradients: gradients)
    return [target?.tensor] + gradients.list(form)
  }[0]
}

private func gpuProject(_ x: Tensor, _ operands: LinearOperands, _ name: StaticString, adding residual: Tensor?) -> Tensor {
  let projection = GPUProjection(operands)
  let (output, h) = projection.forward(x, adding: residual)
  let parameters = [operands.weight.trained] + operands.rest
  let traces = [x.trace] + parameters.map { $0?.trace } + (residual == nil ? [] : [residual?.trace])
  guard let tape = traces.lazy.compactMap({ $0?.tape }).first else { return output }
  let wantsInput = [operands.weight.trained, operands.lora?.a, operands.lora?.magnitude].contains { $0?.needsGradient ?? false }
  let (form, shape, dtype, device) = (operands.form, x.shape, x.dtype, x.device)
  let kept = parameters.compactMap { $0 }
  let (frozen, hasResidual) = (operands.weight.quantized, residual != nil)
  let saved = kept + [h].compactMap { $0 } + (wantsInput ? [x] : [])
  return tape.record(name, traces, saving: saved, outputs: [output]) { context in
    guard let gradient = context.take() else { return context.needs.map { _ in nil } }
    let operands = LinearOperands(form, frozen: frozen, from: context.saved)
    let rest = context.saved.dropFirst(kept.count)
    let h = form.scale == nil ? nil : rest.first
    let x = wantsInput ? rest.last : nil
    let target = context.needs[0] ? context.destination(0, shape, dtype, on: device) : nil
    let gradients = ProjectionGradients([operands.weight.trained] + operands.rest, form, context: &context, first: 1)
    GPUProjection(operands).backward(
      gradient, x: x, h: h, dx: target?.tensor, accumulate: target?.accumulate ?? false, gradients: gradients)
    return [target?.tensor] + gradients.list(form) + (hasResidual ? [gradient] : [])
  }[0]
}
