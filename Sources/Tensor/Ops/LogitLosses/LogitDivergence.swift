import Foundation
import SwiftletCPU
import SwiftletCUDA
import SwiftletTensorCore

/// How far apart two models' logits are after one token.
public struct LogitDivergence: Hashable, Sendable {
  /// KL(reference ‖ other), in nats.
  public var divergence: Double
  /// Σ |difference| of the logits.
  public var absolute: Double
  /// The largest |difference| of a logit; infinite where one is no number.
  public var largest: Float
  /// Whether both find the same token likeliest, the first among equals.
  public var agrees: Bool
}

/// Compares logits row by row, with exponentials and sums in float64.
///
/// - Parameters:
///   - reference: [tokens, vocabulary], float32.
///   - other: alike, on the same device.
/// - Returns: one for each token; the same bits on every run on a device.
public func logitDivergences(_ reference: Tensor, _ other: Tensor) -> [LogitDivergence] {
  precondition(
    reference.shape == other.shape && reference.dtype == .float32 && other.dtype == .float32 && reference.device == other.device,
    "logits \(reference.shape) \(reference.dtype) on \(reference.device) meet \(other.shape) \(other.dtype) on \(other.device)")
  guard reference.count > 0 else { return [] }
  if reference.device.isCUDA { return onGPU(reference, other) }
  var found = [LogitDivergence](
    repeating: LogitDivergence(divergence: 0, absolute: 0, largest: 0, agrees: true), count: reference.shape.rows)
  let (p, q, columns) = (reference.pointer, other.pointer, reference.shape.columns)
  found.withUnsafeMutableBufferPointer { found in
    parallelFor(found.count, grain: 1) { rows in
      for row in rows { found[row] = LogitDivergence(p + row * columns, q + row * columns, count: columns) }
    }
  }
  keepAlive(reference, other)
  return found
}

extension LogitDivergence {
  /// With Zp = Σ exp(p − max p), Zq alike and S = Σ exp(p − max p)·((p − max p) − (q − max q)): KL = S/Zp − log Zp + log Zq.
  fileprivate init(_ p: UnsafePointer<Float>, _ q: UnsafePointer<Float>, count: Int) {
    var best = (p: 0, q: 0)
    for i in 0..<count {
      if p[i] > p[best.p] { best.p = i }
      if q[i] > q[best.q] { best.q = i }
    }
    let most = (p: Double(p[best.p]), q: Double(q[best.q]))
    var (totalP, totalQ, moved) = (0.0, 0.0, 0.0)
    (absolute, largest, agrees) = (0, 0, best.p == best.q)
    for i in 0..<count {
      let (a, b) = (Double(p[i]) - most.p, Double(q[i]) - most.q)
      let (weight, difference) = (exp(a), abs(p[i] - q[i]))
      totalP += weight
      totalQ += exp(b)
      moved += weight * (a - b)
      absolute += Double(difference)
      largest = difference.isNaN ? .infinity : max(largest, difference)
    }
    divergence = moved / totalP - log(totalP) + log(totalQ)
  }
}

private func onGPU(_ reference: Tensor, _ other: Tensor) -> [LogitDivergence] {
  let (rows, columns) = (reference.shape.rows, reference.shape.columns)
  // Four numbers in float64 for each row, which no tensor's elements are.
  let results = Tensor(uninitialized: [rows, 4], .int64, part: .workspace, on: reference.device)
  kernel("LogitDivergence.cu", "logit_divergence", [], on: reference.gpu).launch(
    grid: (rows, 1, 1), block: (256, 1, 1), results.address, reference.address, other.address, UInt32(columns))
  keepAlive(reference, other)
  let numbers = results.moved(to: .cpu).array(Int64.self).map { Double(bitPattern: UInt64(bitPattern: $0)) }
  return (0..<rows).map { row in
    let four = numbers[4 * row..<4 * row + 4].map(\.self)
    return LogitDivergence(divergence: four[0], absolute: four[1], largest: Float(four[2]), agrees: four[3] != 0)
  }
}

extension KernelVariants {
  static let divergences = [KernelVariant("LogitDivergence.cu", ["logit_divergence"], [[]])]
}
