import CPlatform
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
    if x.device.isCUDA { return turnOnGPU(consume x, cos, sin, sign: sign) }
    let target = x.target()
    let (from, into, cosines, sines) = (x.pointer, target.pointer, cos.pointer, sin.pointer)
    let columns = heads * headDimension
    forRows(rows, columns: columns) { row in
      swiftlet_rope(
        from + row * columns, cosines + row * half, sines + row * half, sign, heads, headDimension, half, interleaved, into + row * columns)
    }
    return target
  }
}
