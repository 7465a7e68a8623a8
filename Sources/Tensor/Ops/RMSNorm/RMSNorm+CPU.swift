import SwiftletCPU
import SwiftletTensorCore

/// The sizes and constants of one RMSNorm.
struct RMSNormForm {
  let rows: Int
  let columns: Int
  let epsilon: Float
  /// 1 where the weight is stored as its difference from 1.
  let offset: Float

  /// 1 / √(mean(x²) + ε)
  func inverseRoot(_ x: UnsafePointer<Float>) -> Float {
    var total: Float = 0
    for j in 0..<columns { total += x[j] * x[j] }
    return 1 / (total / Float(columns) + epsilon).squareRoot()
  }

  func forward(_ x: UnsafePointer<Float>, _ weight: Tensor, into y: UnsafeMutablePointer<Float>) {
    let (w, columns, offset) = (weight.pointer, columns, offset)
    forRows(rows, columns: columns) { row in
      let (from, into) = (x + row * columns, y + row * columns)
      let r = inverseRoot(from)
      for j in 0..<columns { into[j] = from[j] * r * (offset + w[j]) }
    }
  }

  func inputGradient(
    _ x: UnsafePointer<Float>, _ weight: Tensor, _ dy: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>, accumulate: Bool
  ) {
    let (w, columns, offset) = (weight.pointer, columns, offset)
    forRows(rows, columns: columns) { row in
      let (from, gradient, into) = (x + row * columns, dy + row * columns, dx + row * columns)
      let r = inverseRoot(from)
      var dot: Float = 0
      for j in 0..<columns { dot += gradient[j] * (offset + w[j]) * from[j] }
      let pull = dot * r * r / Float(columns)
      for j in 0..<columns {
        let value = r * (gradient[j] * (offset + w[j]) - from[j] * pull)
        into[j] = accumulate ? into[j] + value : value
      }
    }
  }

  /// Adds Σ dy·x·r over the rows, in blocks of 64 rows whose sums are added in ascending order.
  func weightGradient(_ x: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, addingTo target: UnsafeMutablePointer<Float>) {
    let columns = columns
    let total = parallelReduce(rows, block: 64, [Float](repeating: 0, count: columns)) { range in
      var partial = [Float](repeating: 0, count: columns)
      for row in range {
        let (from, gradient) = (x + row * columns, dy + row * columns)
        let r = inverseRoot(from)
        for j in 0..<columns { partial[j] += gradient[j] * (from[j] * r) }
      }
      return partial
    } combine: {
      zip($0, $1).map(+)
    }
    for j in 0..<columns { target[j] += total[j] }
  }
}
