import SwiftletTensorCore

/// The places of a head's inputs on a tape: `x`, the trained weight, bias and adapter.
private func inputs(_ x: Tensor, _ operands: LinearOperands) -> [Tensor?] { [x, operands.weight.trained] + operands.rest }

/// `headLogits` on a GPU: float32 [tokens, vocabulary].
func gpuHeadLogits(_ x: Tensor, _ operands: LinearOperands, _ options: HeadOptions) -> Tensor {
  let head = GPUHead(operands: operands, options: options)
  let logits = Tensor(uninitialized: [x.shape.rows, head.vocabulary], on: x.device)
  if logits.count == 0 { return logits }
  _ = head.forward(x, dropout: operands.lora?.dropout, into: logits)
  if options.softCap != nil || options.logitScale != 1 {
    kernel("CrossEntropy.cu", "cap_logits", GPUHeadPass.rowDefines(.float32, .float32), on: x.gpu).launch(
      grid: ((logits.count + 255) / 256, 1, 1), block: (256, 1, 1), logits.address, Int64(logits.count), options.logitScale,
      options.softCap ?? 0)
  }
  return logits
}

/// `linearCrossEntropy` on a GPU: nothing waits for it before the loss is read. `dx` has the format of `x`, other gradients are float32.
func gpuLinearCrossEntropy(
  _ x: Tensor, _ operands: LinearOperands, targets: [Int32], _ options: HeadOptions
) -> (lossSum: Tensor, count: Int) {
  let pass = GPUHeadPass(GPUHead(operands: operands, options: options), x, targets: targets)
  let nodes = inputs(x, operands)
  let wanted = nodes.contains { $0?.needsGradient ?? false }
  let dx = x.needsGradient ? Tensor(uninitialized: x.shape, x.dtype, on: x.device) : nil
  if pass.rows.isEmpty { dx?.fillZero() }
  let gradients = wanted ? ProjectionGradients(zerosFor: operands) : nil
  let losses = Tensor(zeros: [max(1, x.shape.rows)], part: .workspace, on: x.device)
  pass.run(options.loss, losses: losses, gradients: gradients, dx: dx)
  let sum = sumOnGPU(losses)
  guard let tape = tape(of: nodes) else { return (sum, pass.rows.count) }
  let parts = [dx] + (gradients?.list(operands.form) ?? nodes.dropFirst().map { _ in nil })
  let (places, device) = (parts.map { $0 != nil }, x.device)
  let output = tape.record("linearCrossEntropy", nodes.map { $0?.trace }, saving: parts.compactMap { $0 }, outputs: [sum]) { context in
    guard let seed = context.take()?.moved(to: device) else { return places.map { _ in nil } }
    var next = 0
    return places.map { present in
      guard present else { return nil }
      defer { next += 1 }
      return multiplyOnGPU(context.takeSaved(next), by: seed)
    }
  }[0]
  return (output, pass.rows.count)
}

/// `tokenLogProbabilities` on a GPU: float32 [tokens].
func gpuTokenLogProbabilities(_ x: Tensor, _ operands: LinearOperands, targets: [Int32], _ options: HeadOptions) -> Tensor {
  let head = GPUHead(operands: operands, options: options)
  let output = Tensor(zeros: [x.shape.rows], on: x.device)
  GPUHeadPass(head, x, targets: targets).run(TokenLoss(), losses: output, lossFactor: -1)
  let nodes = inputs(x, operands)
  guard let tape = tape(of: nodes) else { return output }
  let (form, frozen, kept) = (operands.form, operands.weight.quantized, nodes.dropFirst().compactMap { $0 })
  // What may be captured: numbers.
  let (softCap, logitScale) = (options.softCap, options.logitScale)
  return tape.record(
    "tokenLogProbabilities", nodes.map { $0?.trace }, saving: [x] + kept, outputs: [output]
  ) { context in
    guard let seeds = context.take()?.moved(to: context.saved[0].device) else { return context.needs.map { _ in nil } }
    let x = context.saved[0]
    let operands = LinearOperands(form, frozen: frozen, from: context.saved.dropFirst())
    let dx = context.needs[0] ? Tensor(uninitialized: x.shape, x.dtype, on: x.device) : nil
    let gradients = ProjectionGradients([operands.weight.trained] + operands.rest, form, context: &context, first: 1)
    let head = GPUHead(operands: operands, options: HeadOptions(softCap: softCap, logitScale: logitScale))
    let pass = GPUHeadPass(head, x, targets: targets)
    if pass.rows.isEmpty { dx?.fillZero() }
    let losses = Tensor(uninitialized: [x.shape.rows], part: .workspace, on: x.device)
    pass.run(TokenLoss(), losses: losses, seeds: seeds, seedFactor: -1, gradients: gradients, dx: dx)
    return [dx] + gradients.list(form)
  }[0]
}
