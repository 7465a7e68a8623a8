import SwiftletCPU
import SwiftletTensorCore

/// A matrix as the product reads it: where it lies, its format, the distance of its rows in elements.
struct MatrixView {
  let data: UnsafeRawPointer
  let type: CPUFloat
  let stride: Int
  var transposed = false

  init(_ tensor: Tensor) {
    data = UnsafeRawPointer(tensor.bytes)
    type = tensor.cpuFloat
    stride = tensor.shape.columns
  }

  init(_ pointer: UnsafePointer<Float>, columns: Int) {
    data = UnsafeRawPointer(pointer)
    type = .f32
    stride = columns
  }

  /// The same memory read as its transpose.
  var T: MatrixView {
    var copy = self
    copy.transposed.toggle()
    return copy
  }
}

/// `c[m, n] = alpha · a · b`, added to `c` where `accumulate`; rows of `c` are `stride` apart, `n` where nil.
func product(
  _ a: MatrixView, _ b: MatrixView, into c: UnsafeMutablePointer<Float>, m: Int, n: Int, k: Int, accumulate: Bool = false,
  alpha: Float = 1, stride: Int? = nil
) {
  CPUMatmul.multiply(
    a: a.data, aType: a.type, lda: a.stride, transposeA: a.transposed, b: b.data, bType: b.type, ldb: b.stride,
    transposeB: b.transposed, c: c, ldc: stride ?? n, m: m, n: n, k: k, accumulate: accumulate, alpha: alpha)
}
