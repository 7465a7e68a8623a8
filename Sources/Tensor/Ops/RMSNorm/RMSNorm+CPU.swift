import CPlatform
import SwiftletCPU
import SwiftletTensorCore

/// The sizes and constants of one RMSNorm.
struct RMSNormForm {
  let rows: Int
  let columns: Int
  let epsilon: Float
  /// 1 where the weight is stored as its difference from 1.
  let offset: Float

  func forward(_ x: Tensor, _ weight: Tensor) -> Tensor {
    let (output, weight) = (Tensor(uninitialized: x.shape), weight.float32)
    let (from, w, into, columns) = (x.pointer, weight.pointer, output.pointer, columns)
    forRows(rows, columns: columns) { swiftlet_rms_norm(from + $0 * columns, w, offset, epsilon, into + $0 * columns, columns) }
    return output
  }

  func inputGradient(
    _ x: UnsafePointer<Float>, _ weight: Tensor, _ dy: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>, accumulate: Bool
  ) {
    let (w, columns) = (weight.pointer, columns)
    forRows(rows, columns: columns) { row in
      let place = row * columns
      swiftlet_rms_norm_backward(x + place, w, offset, epsilon, dy + place, dx + place, accumulate, nil, columns)
    }
  }

  /// Adds Σ dy·x·r over the rows, in blocks of 64 rows whose sums are added in ascending order.
  func weightGradient(_ x: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, addingTo target: UnsafeMutablePointer<Float>) {
    let columns = columns
    let blocks = (rows + 63) / 64
    let partial = Tensor(zeros: [blocks, columns], part: .workspace)
    let sums = partial.pointer
    parallelFor(blocks) { range in
      for block in range {
        for row in block * 64..<min(rows, (block + 1) * 64) {
          swiftlet_rms_norm_backward(
            x + row * columns, nil, offset, epsilon, dy + row * columns, nil, false, sums + block * columns, columns)
        }
      }
    }
    for block in 0..<blocks { swiftlet_add(target, sums + block * columns, target, columns) }
  }
}
