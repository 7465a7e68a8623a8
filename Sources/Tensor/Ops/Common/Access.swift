import SwiftletCPU
import SwiftletTensorCore

extension Tensor {
  /// The first element of a float32 tensor.
  package var pointer: UnsafeMutablePointer<Float> {
    precondition(dtype == .float32, "float32 elements wanted of a tensor of \(dtype), shape \(shape)")
    return (storage.pointer + byteOffset).assumingMemoryBound(to: Float.self)
  }

  /// The first byte.
  package var bytes: UnsafeMutableRawPointer { storage.pointer + byteOffset }

  /// How the matrix product reads the elements.
  package var cpuFloat: CPUFloat {
    switch dtype {
    case .float32: .f32
    case .bfloat16: .bf16
    case .float16: .f16
    default: preconditionFailure("a matrix of floating-point numbers is wanted, not \(dtype), shape \(shape)")
    }
  }

  /// The same numbers in float32, off tape: the tensor itself where it has that format.
  package var float32: Tensor {
    if dtype == .float32 { return detached }
    let copy = Tensor(uninitialized: shape, part: .workspace)
    convert(self, from: 0, count: count, to: copy.pointer)
    return copy
  }
}

/// Converts `count` elements of `source` from element `start` on to float32.
package func convert(_ source: Tensor, from start: Int, count: Int, to target: UnsafeMutablePointer<Float>) {
  CPUConvert.toFloat(source.bytes + start * source.dtype.size, type: source.cpuFloat, count: count, to: target)
}

/// Calls `body` with every row number below `rows`, in parallel; a task gets rows of at least some 16 thousand elements together.
package func forRows(_ rows: Int, columns: Int, _ body: (Int) -> Void) {
  parallelFor(rows, grain: max(1, (1 << 14) / max(columns, 1))) { range in
    for row in range { body(row) }
  }
}

/// Calls `body` with ranges that cover `0..<count` elements, in parallel.
package func forElements(_ count: Int, _ body: (Range<Int>) -> Void) { parallelFor(count, grain: 1 << 15, body) }
