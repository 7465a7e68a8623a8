import SwiftletTensorCore

/// Head and cross entropy as one node: the sum of the tokens' losses, without the logits ever standing in memory whole.
///
/// - Parameters:
///   - x: hidden states [tokens, features], float32; on a GPU of any format.
///   - weight: [vocabulary, features], dense or quantised.
///   - targets: the id that each token should predict (already shifted); −100 is ignored and costs nothing.
/// - Returns: the loss sum [1] and the number of targets. Seed backward with 1/(targets of the whole accumulation window).
///
/// On a tape the gradients are formed chunk by chunk with the logits at hand, for a seed of 1, and saved (dx, and those of trainable head
/// parameters); backward multiplies them by the seed. The logits are so computed once.
public func linearCrossEntropy(
  _ x: Tensor, _ weight: LinearWeight, targets: [Int32], _ options: HeadOptions = HeadOptions()
) -> (lossSum: Tensor, count: Int) {
  precondition(x.shape.columns == weight.inputs, "hidden states \(x.shape) meet head \(weight.shape)")
  let operands = LinearOperands(weight: weight, bias: options.bias, lora: options.lora)
  if x.device.isCUDA { return gpuLinearCrossEntropy(x, operands, targets: targets, options) }
  let projection = operands.cpuProjection
  let rows = targetRows(targets, rows: x.shape.rows, vocabulary: projection.outputs)
  let pass = HeadPass(
    projection: projection, transform: LogitTransform(softCap: options.softCap, scale: options.logitScale), rows: rows)
  let inputs = [x] + projection.parameters
  let wanted = inputs.contains { $0?.needsGradient ?? false }
  let dx = x.needsGradient ? Tensor(zeros: x.shape) : nil
  let gradients = wanted ? ProjectionGradients(zerosFor: projection) : nil
  var losses = [Double](repeating: 0, count: rows.count)
  losses.withUnsafeMutableBufferPointer { losses in
    // Each index is written by one task only.
    nonisolated(unsafe) let losses = losses
    pass.run(x, gradients: gradients, dx: dx) { index, logits in
      losses[index] = options.loss.evaluate(
        logits, count: projection.outputs, target: Int(targets[rows[index]]), gradient: wanted)
    }
  }
  let sum = Tensor([Float(losses.reduce(0, +))], [1])
  guard let tape = tape(of: inputs) else { return (sum, rows.count) }
  let parts = [dx] + (gradients?.list(projection.form) ?? projection.parameters.map { _ in nil })
  let places = parts.map { $0 != nil }
  let output = tape.record("linearCrossEntropy", inputs.map { $0?.trace }, saving: parts.compactMap { $0 }, outputs: [sum]) { context in
    guard let seed = context.take()?.scalar else { return places.map { _ in nil } }
    var next = 0
    return places.map { present in
      guard present else { return nil }
      defer { next += 1 }
      return multiply(context.takeSaved(next), by: seed)
    }
  }[0]
  return (output, rows.count)
}

/// The log-probability of each target: [tokens], 0 where the target is −100.
///
/// Parameters as `linearCrossEntropy`. Saves `x` and the log-sums' inputs only: backward computes the logits again, chunk by chunk.
public func tokenLogProbabilities(
  _ x: Tensor, _ weight: LinearWeight, targets: [Int32], _ options: HeadOptions = HeadOptions()
) -> Tensor {
  precondition(x.shape.columns == weight.inputs, "hidden states \(x.shape) meet head \(weight.shape)")
  let operands = LinearOperands(weight: weight, bias: options.bias, lora: options.lora)
  if x.device.isCUDA { return gpuTokenLogProbabilities(x, operands, targets: targets, options) }
  let projection = operands.cpuProjection
  let rows = targetRows(targets, rows: x.shape.rows, vocabulary: projection.outputs)
  let transform = LogitTransform(softCap: options.softCap, scale: options.logitScale)
  let output = Tensor(zeros: [x.shape.rows])
  let plain = TokenLoss()
  HeadPass(projection: projection, transform: transform, rows: rows).run(x, gradients: nil, dx: nil) { index, logits in
    output.pointer[rows[index]] = -Float(
      plain.evaluate(logits, count: projection.outputs, target: Int(targets[rows[index]]), gradient: false))
  }
  let inputs = [x] + projection.parameters
  guard let tape = tape(of: inputs) else { return output }
  let (form, frozen, saved) = (projection.form, projection.weight.quantized, [x] + projection.tensors)
  return tape.record("tokenLogProbabilities", inputs.map { $0?.trace }, saving: saved, outputs: [output]) { context in
    guard let seeds = context.take() else { return context.needs.map { _ in nil } }
    let x = context.saved[0]
    let projection = Projection(form, frozen: frozen, from: context.saved.dropFirst())
    let dx = context.needs[0] ? Tensor(zeros: x.shape) : nil
    let gradients = ProjectionGradients(projection, context: &context, first: 1)
    HeadPass(projection: projection, transform: transform, rows: rows).run(x, gradients: gradients, dx: dx) { index, logits in
      let row = rows[index]
      _ = plain.evaluate(
        logits, count: projection.outputs, target: Int(targets[row]), gradient: true, seed: -seeds.pointer[row])
    }
    return [dx] + gradients.list(form)
  }[0]
}
