import SwiftletCPU
import SwiftletTensorCore

/// The sizes of one rotation.
struct RoPEForm {
  let rows: Int
  let heads: Int
  let headDimension: Int
  /// Number of pairs that turn.
  let half: Int
  let interleaved: Bool

  /// `x` turned by the angles of the tables (`sign` 1) or back (−1), in `x` itself where it is owned alone.
  func turn(_ x: consuming Tensor, _ cos: Tensor, _ sin: Tensor, sign: Float) -> Tensor {
    let target = x.target()
    let (from, into, cosines, sines) = (x.pointer, target.pointer, cos.pointer, sin.pointer)
    let columns = heads * headDimension
    forRows(rows, columns: columns) { row in
      for head in 0..<heads {
        let place = row * columns + head * headDimension
        turnHead(from + place, cosines + row * half, sines + row * half, sign, into: into + place)
      }
    }
    return target
  }

  private func turnHead(
    _ x: UnsafePointer<Float>, _ cos: UnsafePointer<Float>, _ sin: UnsafePointer<Float>, _ sign: Float,
    into y: UnsafeMutablePointer<Float>
  ) {
    for i in 0..<half {
      let (first, second) = interleaved ? (2 * i, 2 * i + 1) : (i, i + half)
      let (a, b) = (x[first], x[second])
      let (c, s) = (cos[i], sign * sin[i])
      y[first] = a * c - b * s
      y[second] = b * c + a * s
    }
    for i in 2 * half..<headDimension { y[i] = x[i] }
  }
}
