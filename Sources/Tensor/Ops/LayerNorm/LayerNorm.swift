import SwiftletTensorCore

/// `y = (x − mean) / √(variance + ε) · w + b` over the last axis (Ba et al., 2016), in float32.
///
/// - Parameters:
///   - x: [tokens, features], float32, on a GPU of any float format.
///   - weight: [features]; ones where nil.
///   - bias: [features]; zero where nil. On a GPU both may have any float format; their gradients are float32.
/// - Returns: the shape of `x`.
///
/// Saves `x`. Backward, with n the normalised row, r the factor and g = dy·w: dx = r·(g − mean(g) − n·mean(g·n)), dw = Σ dy·n, db = Σ dy.
public func layerNorm(_ x: Tensor, weight: Tensor?, bias: Tensor?, epsilon: Float) -> Tensor {
  let columns = x.shape.columns
  for parameter in [weight, bias] {
    precondition(parameter.map { $0.count == columns } ?? true, "LayerNorm parameter \(parameter?.shape ?? []) for input \(x.shape)")
  }
  let form = LayerNormForm(rows: x.shape.rows, columns: columns, epsilon: epsilon)
  let output = x.device.isCUDA ? form.forwardOnGPU(x, weight, bias) : Tensor(uninitialized: x.shape)
  if !x.device.isCUDA { form.forward(x.pointer, weight?.float32, bias?.float32, into: output.pointer) }
  let parameters = [weight, bias].compactMap { $0 }
  guard let tape = tape(of: [x] + parameters) else { return output }
  let (hasWeight, hasBias) = (weight != nil, bias != nil)
  return tape.record("layerNorm", [x] + parameters, saving: [x] + [weight].compactMap { $0 }, outputs: [output]) { context in
    guard let gradient = context.take() else { return context.needs.map { _ in nil } }
    let x = context.saved[0]
    if x.device.isCUDA { return form.backwardOnGPU(consume gradient, hasWeight: hasWeight, hasBias: hasBias, &context) }
    let weight = hasWeight ? context.saved[1].float32 : nil
    var results: [Tensor?] = [nil]
    for index in 1..<context.needs.count {
      guard context.needs[index] else {
        results.append(nil)
        continue
      }
      let (target, accumulate) = context.destination(index, [columns], part: .gradients)
      if !accumulate { target.floats.update(repeating: 0) }
      let isBias = hasBias && index == context.needs.count - 1
      form.parameterGradient(isBias ? nil : x.pointer, gradient.pointer, addingTo: target.pointer)
      results.append(target)
    }
    if context.needs[0] {
      let (target, accumulate) = context.destination(0, x.shape)
      form.inputGradient(x.pointer, weight, gradient.pointer, into: target.pointer, accumulate: accumulate)
      results[0] = target
    }
    return results
  }[0]
}
