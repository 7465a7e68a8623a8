import SwiftletCPU
import SwiftletTensorCore

/// Products with the matrix on the CPU. A quantised one is decoded some rows at a time into one buffer; the sums are those of the whole matrix
/// in float32, bit for bit.
extension LinearWeight {
  /// `y = x·Wᵀ`
  /// - Parameters:
  ///   - x: [rows, in].
  ///   - y: [rows, out].
  func multiplyTransposed(_ x: MatrixView, rows: Int, into y: UnsafeMutablePointer<Float>) {
    switch self {
    case .dense(let weight): product(x, MatrixView(weight).T, into: y, m: rows, n: outputs, k: inputs)
    case .quantized(let matrix):
      matrix.forPanels { range, panel in
        product(x, MatrixView(panel).T, into: y + range.lowerBound, m: rows, n: range.count, k: inputs, stride: outputs)
      }
    }
  }

  /// `dx = dy·W`, added to `dx` where `accumulate`.
  /// - Parameters:
  ///   - dy: [rows, out].
  ///   - dx: [rows, in].
  func multiply(_ dy: UnsafePointer<Float>, rows: Int, into dx: UnsafeMutablePointer<Float>, accumulate: Bool) {
    switch self {
    case .dense(let weight):
      product(MatrixView(dy, columns: outputs), MatrixView(weight), into: dx, m: rows, n: inputs, k: outputs, accumulate: accumulate)
    case .quantized(let matrix):
      matrix.forPanels { range, panel in
        product(
          MatrixView(dy + range.lowerBound, columns: outputs), MatrixView(panel), into: dx, m: rows, n: inputs, k: range.count,
          accumulate: accumulate || range.lowerBound > 0)
      }
    }
  }

  /// Writes `rows` of the matrix as float32 numbers.
  func write(_ rows: Range<Int>, into target: Tensor) {
    switch self {
    case .dense(let weight): convert(weight, from: rows.lowerBound * inputs, count: rows.count * inputs, to: target.pointer)
    case .quantized(let matrix): matrix.dequantize(rows: rows, into: target.rows(0..<rows.count))
    }
  }
}

extension QuantizedMatrix {
  /// Calls `body` with the rows of the matrix in float32, some at a time and in ascending order.
  ///
  /// A panel has some 4 MB. Its rows are whole blocks of the sums of `swiftlet_gemm`, so that products with one panel after the other add up
  /// in the order of the whole.
  func forPanels(_ body: (_ rows: Range<Int>, _ panel: Tensor) -> Void) {
    let sumBlock = 256
    let step = max(1, (1 << 20) / max(inputs, 1) / sumBlock) * sumBlock
    let buffer = Tensor(uninitialized: [min(step, outputs), inputs], part: .workspace)
    for first in stride(from: 0, to: outputs, by: step) {
      let rows = first..<min(first + step, outputs)
      let panel = buffer.rows(0..<rows.count)
      dequantize(rows: rows, into: panel)
      body(rows, panel)
    }
  }
}
