import SwiftletTensorCore

/// `y = x / √(mean(x²) + ε) · w` over the last axis (Zhang and Sennrich, 2019), in float32.
///
/// - Parameters:
///   - x: [tokens, features], float32, on a GPU of any float format; for a norm per head, reshape to [tokens · heads, headDimension].
///   - weight: [features]; on a GPU of any float format, its gradient is float32.
///   - unitOffset: multiply by `1 + w` (Gemma).
/// - Returns: the shape of `x`.
///
/// Saves `x`; the mean is computed anew, and so is the output where later ops want it in backward. Backward, with n = x·r and g = dy·w: dx = r·(g − n·mean(g·n)), dw = Σ dy·n.
public func rmsNorm(_ x: Tensor, weight: Tensor, epsilon: Float, unitOffset: Bool = false) -> Tensor {
  let columns = x.shape.columns
  precondition(weight.count == columns, "RMSNorm weight \(weight.shape) for input \(x.shape)")
  let form = RMSNormForm(rows: x.shape.rows, columns: columns, epsilon: epsilon, offset: unitOffset ? 1 : 0)
  let remake = { (saved: [Tensor]) in
    saved[0].device.isCUDA ? form.forwardOnGPU(saved[0], saved[1]) : form.forward(saved[0], saved[1])
  }
  let output = remake([x, weight])
  guard let tape = tape(of: x, weight) else { return output }
  // On a GPU keeping the output costs less than making it again; where memory counts, blocks are replayed.
  let remaking = x.device.isCUDA ? nil : remake
  return tape.record("rmsNorm", [x, weight], saving: [x, weight], outputs: [output], remaking: remaking) { context in
    guard let gradient = context.take() else { return [nil, nil] }
    let (x, weight) = (context.saved[0], context.saved[1])
    if x.device.isCUDA { return form.backwardOnGPU(consume gradient, &context) }
    var weightGradient: Tensor?
    if context.needs[1] {
      let (target, accumulate) = context.destination(1, weight.shape, part: .gradients)
      if !accumulate { target.floats.update(repeating: 0) }
      form.weightGradient(x.pointer, gradient.pointer, addingTo: target.pointer)
      weightGradient = target
    }
    guard context.needs[0] else { return [nil, weightGradient] }
    let (target, accumulate) = context.destination(0, x.shape)
    form.inputGradient(x.pointer, weight.float32, gradient.pointer, into: target.pointer, accumulate: accumulate)
    return [target, weightGradient]
  }[0]
}
