import CPlatform
import SwiftletCPU
import SwiftletTensorCore

/// What the language-model head does besides its matrix.
public struct HeadOptions {
  /// `c·tanh(logit / c)` (Gemma 2).
  public var softCap: Float?
  /// A factor on the logits (Cohere; 1/`logits_scaling` of Granite), before the soft cap.
  public var logitScale: Float
  /// An adapter on the head.
  public var lora: LoRAOperands?
  /// [vocabulary]
  public var bias: Tensor?
  /// The loss of a token; `linearCrossEntropy` alone reads it.
  public var loss: TokenLoss

  /// A plain head unless told otherwise.
  public init(
    softCap: Float? = nil, logitScale: Float = 1, lora: LoRAOperands? = nil, bias: Tensor? = nil, loss: TokenLoss = TokenLoss()
  ) {
    self.softCap = softCap
    self.logitScale = logitScale
    self.lora = lora
    self.bias = bias
    self.loss = loss
  }
}

/// A factor and a soft cap on logits.
struct LogitTransform {
  let softCap: Float?
  let scale: Float

  func apply(_ z: UnsafeMutablePointer<Float>, count: Int) {
    if scale != 1 || softCap != nil { swiftlet_cap(z, scale, softCap ?? 0, count) }
  }

  /// The gradient of the transformed logits, in place, to that of the head's output. `transformed` gives the logits where there is a cap.
  func backward(_ dz: UnsafeMutablePointer<Float>, transformed: UnsafePointer<Float>?, count: Int) {
    if let cap = softCap, let z = transformed { for j in 0..<count { dz[j] *= 1 - (z[j] / cap) * (z[j] / cap) } }
    if scale != 1 { for j in 0..<count { dz[j] *= scale } }
  }
}

/// The head over the rows of a token stream that have a target, in chunks whose logits share one buffer.
struct HeadPass {
  let projection: Projection
  let transform: LogitTransform
  /// The rows that count, ascending.
  let rows: [Int]

  /// Tokens per chunk: logits of some 64 MB, so that the weight is packed for many rows and the buffer stays small.
  var chunkRows: Int { max(1, min(rows.count, max(64, min(1024, (16 << 20) / max(projection.outputs, 1))))) }

  /// For each chunk: computes transformed logits, lets `row` turn them into gradients (chunk row, index in `rows`, logits), and where
  /// `gradients` are given goes back to the hidden states.
  func run(
    _ x: Tensor, gradients: ProjectionGradients?, dx: Tensor?, row: (_ index: Int, _ logits: UnsafeMutablePointer<Float>) -> Void
  ) {
    let (inputs, outputs) = (projection.inputs, projection.outputs)
    let logits = Tensor(uninitialized: [chunkRows, outputs], part: .workspace)
    let capped = gradients != nil && transform.softCap != nil ? Tensor(uninitialized: [chunkRows, outputs], part: .workspace) : nil
    let gathered = Tensor(uninitialized: [chunkRows, inputs], part: .workspace)
    for start in stride(from: 0, to: rows.count, by: chunkRows) {
      let count = min(chunkRows, rows.count - start)
      let input = gather(x, start, count, into: gathered)
      let h = projection.forward(input, rows: count, firstRow: start, into: logits.pointer)
      forRows(count, columns: outputs) { r in
        let z = logits.pointer + r * outputs
        transform.apply(z, count: outputs)
        let copy = capped.map { $0.pointer + r * outputs }
        copy?.update(from: z, count: outputs)
        row(start + r, z)
        if gradients != nil { transform.backward(z, transformed: copy, count: outputs) }
      }
      guard let gradients else { continue }
      let part = dx.map { _ in Tensor(uninitialized: [count, inputs], part: .workspace) }
      projection.backward(
        logits.pointer, x: input, h: h, rows: count, firstRow: start, dx: part?.pointer, accumulate: false, gradients: gradients)
      if let dx, let part { scatter(part, start, count, into: dx) }
    }
  }

  /// The hidden states of rows `start..<start + count` of `rows`, copied only where they do not stand together.
  private func gather(_ x: Tensor, _ start: Int, _ count: Int, into buffer: Tensor) -> UnsafePointer<Float> {
    let columns = projection.inputs
    if rows[start + count - 1] - rows[start] == count - 1 { return UnsafePointer(x.pointer + rows[start] * columns) }
    for r in 0..<count { (buffer.pointer + r * columns).update(from: x.pointer + rows[start + r] * columns, count: columns) }
    return UnsafePointer(buffer.pointer)
  }

  private func scatter(_ part: Tensor, _ start: Int, _ count: Int, into dx: Tensor) {
    let columns = projection.inputs
    for r in 0..<count { (dx.pointer + rows[start + r] * columns).update(from: part.pointer + r * columns, count: columns) }
  }
}

/// `x·Wᵀ` with the head's bias, adapter, scale and cap, off tape: [tokens, vocabulary], float32.
public func headLogits(_ x: Tensor, _ weight: LinearWeight, _ options: HeadOptions = HeadOptions()) -> Tensor {
  precondition(x.shape.columns == weight.inputs, "hidden states \(x.shape) meet head \(weight.shape)")
  let operands = LinearOperands(weight: weight, bias: options.bias, lora: options.lora)
  if x.device.isCUDA { return gpuHeadLogits(x, operands, options) }
  let projection = operands.cpuProjection
  let (rows, columns) = (x.shape.rows, projection.outputs)
  let logits = Tensor(uninitialized: [rows, columns])
  projection.forward(x.pointer, rows: rows, into: logits.pointer)
  let transform = LogitTransform(softCap: options.softCap, scale: options.logitScale)
  forRows(rows, columns: columns) { transform.apply(logits.pointer + $0 * columns, count: columns) }
  return logits
}

/// Checks targets and gives the rows that have one.
func targetRows(_ targets: [Int32], rows: Int, vocabulary: Int) -> [Int] {
  precondition(targets.count == rows, "\(targets.count) targets for \(rows) rows")
  return targets.indices.filter { index in
    let target = targets[index]
    precondition(target == -100 || (target >= 0 && target < vocabulary), "target \(target) is outside of a vocabulary of \(vocabulary)")
    return target >= 0
  }
}
