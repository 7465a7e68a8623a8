import SwiftletCPU
import SwiftletTensorCore

/// The sizes and constants of one LayerNorm.
struct LayerNormForm {
  let rows: Int
  let columns: Int
  let epsilon: Float

  /// Mean, and 1 / √(variance + ε).
  func moments(_ x: UnsafePointer<Float>) -> (mean: Float, inverseRoot: Float) {
    var total: Float = 0
    for j in 0..<columns { total += x[j] }
    let mean = total / Float(columns)
    var squares: Float = 0
    for j in 0..<columns { squares += (x[j] - mean) * (x[j] - mean) }
    return (mean, 1 / (squares / Float(columns) + epsilon).squareRoot())
  }

  func forward(_ x: UnsafePointer<Float>, _ weight: Tensor?, _ bias: Tensor?, into y: UnsafeMutablePointer<Float>) {
    let (w, b, columns) = (weight?.pointer, bias?.pointer, columns)
    forRows(rows, columns: columns) { row in
      let (from, into) = (x + row * columns, y + row * columns)
      let (mean, r) = moments(from)
      for j in 0..<columns { into[j] = (from[j] - mean) * r * (w?[j] ?? 1) + (b?[j] ?? 0) }
    }
  }

  func inputGradient(
    _ x: UnsafePointer<Float>, _ weight: Tensor?, _ dy: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>, accumulate: Bool
  ) {
    let (w, columns) = (weight?.pointer, columns)
    forRows(rows, columns: columns) { row in
      let (from, gradient, into) = (x + row * columns, dy + row * columns, dx + row * columns)
      let (mean, r) = moments(from)
      var (total, dot): (Float, Float) = (0, 0)
      for j in 0..<columns {
        let g = gradient[j] * (w?[j] ?? 1)
        total += g
        dot += g * (from[j] - mean) * r
      }
      let (shift, pull) = (total / Float(columns), dot / Float(columns))
      for j in 0..<columns {
        let value = r * (gradient[j] * (w?[j] ?? 1) - shift - (from[j] - mean) * r * pull)
        into[j] = accumulate ? into[j] + value : value
      }
    }
  }

  /// Adds Σ dy·n (Σ dy without `x`) over the rows, in blocks of 64 rows whose sums are added in ascending order.
  func parameterGradient(_ x: UnsafePointer<Float>?, _ dy: UnsafePointer<Float>, addingTo target: UnsafeMutablePointer<Float>) {
    let columns = columns
    let total = parallelReduce(rows, block: 64, [Float](repeating: 0, count: columns)) { range in
      var partial = [Float](repeating: 0, count: columns)
      for row in range {
        let gradient = dy + row * columns
        guard let from = x.map({ $0 + row * columns }) else {
          for j in 0..<columns { partial[j] += gradient[j] }
          continue
        }
        let (mean, r) = moments(from)
        for j in 0..<columns { partial[j] += gradient[j] * ((from[j] - mean) * r) }
      }
      return partial
    } combine: {
      zip($0, $1).map(+)
    }
    for j in 0..<columns { target[j] += total[j] }
  }
}
