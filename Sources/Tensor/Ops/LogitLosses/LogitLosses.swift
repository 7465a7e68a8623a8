import SwiftletCPU
import SwiftletTensorCore

/// Cross entropy and its variants over logits that stand in memory.
///
/// - Parameters:
///   - logits: [tokens, vocabulary], float32.
///   - targets: already shifted; −100 is ignored.
/// - Returns: the sum of the losses [1] and the number of targets.
///
/// Saves the gradient for a seed of 1. Training uses `linearCrossEntropy`, which never holds the logits whole.
public func crossEntropy(_ logits: Tensor, targets: [Int32], _ loss: TokenLoss = TokenLoss()) -> (lossSum: Tensor, count: Int) {
  let columns = logits.shape.columns
  return rowLoss("crossEntropy", logits, targets) { row, from, into in
    into.update(from: from, count: columns)
    return loss.evaluate(into, count: columns, target: Int(targets[row]), gradient: true)
  }
}

/// What a student is pulled towards a teacher by; T and S are their probabilities.
public enum Distillation: Sendable, Hashable {
  /// KL(T ‖ S)
  case forward
  /// KL(S ‖ T)
  case reverse
  /// β·KL(T ‖ M) + (1 − β)·KL(S ‖ M), M = β·T + (1 − β)·S (Agarwal et al., 2024)
  case jensenShannon(beta: Float)
}

/// The divergence between a student's and a teacher's distributions, summed over the tokens that have a target.
///
/// - Parameters:
///   - logits: the student's, [tokens, vocabulary], float32; `teacher` alike, without gradient.
///   - targets: only whether they are −100 counts.
///   - temperature: divides both logits; the loss is not multiplied by its square.
/// - Returns: the sum [1] and the number of targets. Saves the gradient for a seed of 1.
public func distillation(
  _ logits: Tensor, teacher: Tensor, targets: [Int32], _ kind: Distillation, temperature: Float = 1
) -> (lossSum: Tensor, count: Int) {
  precondition(teacher.shape == logits.shape, "teacher logits \(teacher.shape) for a student's \(logits.shape)")
  let columns = logits.shape.columns
  return rowLoss("distillation", logits, targets) { row, from, into in
    divergence(from, teacher.pointer + row * columns, count: columns, kind, temperature: temperature, gradient: into)
  }
}

private func rowLoss(
  _ name: StaticString, _ logits: Tensor, _ targets: [Int32],
  _ evaluate: (_ row: Int, UnsafePointer<Float>, _ gradient: UnsafeMutablePointer<Float>) -> Double
) -> (lossSum: Tensor, count: Int) {
  let columns = logits.shape.columns
  let rows = targetRows(targets, rows: logits.shape.rows, vocabulary: columns)
  let gradient = Tensor(zeros: logits.shape)
  let (from, into) = (logits.pointer, gradient.pointer)
  let total = parallelReduce(rows.count, block: 8, 0.0) { range in
    range.reduce(0.0) { $0 + evaluate(rows[$1], from + rows[$1] * columns, into + rows[$1] * columns) }
  } combine: {
    $0 + $1
  }
  let sum = Tensor([Float(total)], [1])
  guard let tape = logits.trace?.tape else { return (sum, rows.count) }
  let output = tape.record(name, [logits], saving: [gradient], outputs: [sum]) { context in
    guard let seed = context.take()?.scalar else { return [nil] }
    return [multiply(context.takeSaved(0), by: seed)]
  }[0]
  return (output, rows.count)
}
