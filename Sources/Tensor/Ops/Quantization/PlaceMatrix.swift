import SwiftletCPU
import SwiftletCUDA
import SwiftletTensorCore

/// Writes `scale · rowScale[r] · source[r, c]` into a region of a wider matrix, and zeros where the region is larger than the source: LoRA's
/// B beside a weight that was dequantised into the same buffer, or A below it.
///
/// - Parameters:
///   - source: [rows, columns], float32.
///   - target: [any, stride], float32, bfloat16 or float16, on the source's device.
///   - row: of the region's first number in the target; `column` alike.
///   - size: rows and columns of the region; those of the source where nil.
///   - rowScale: float32 [rows].
public func placeMatrix(
  _ source: Tensor, into target: Tensor, row: Int = 0, column: Int = 0, size: (rows: Int, columns: Int)? = nil, scale: Float = 1,
  rowScale: Tensor? = nil
) {
  let size = size ?? (source.shape[0], source.shape[1])
  let stride = target.shape.columns
  precondition(
    source.shape[0] <= size.rows && source.shape[1] <= size.columns && row + size.rows <= target.shape.rows
      && column + size.columns <= stride,
    "\(source.shape) does not go into \(size.rows)×\(size.columns) at row \(row), column \(column) of \(target.shape)")
  precondition(source.dtype == .float32 && source.device == target.device, "a float32 matrix on \(target.device) is wanted")
  precondition(rowScale == nil || rowScale?.count == source.shape[0], "row factors for \(source.shape)")
  if size.rows == 0 || size.columns == 0 { return }
  let region = Region(row: row, column: column, rows: size.rows, columns: size.columns, stride: stride)
  if source.device.isCUDA { region.fillOnGPU(target, source, scale, rowScale) } else { region.fill(target, source, scale, rowScale) }
}

private struct Region {
  let row, column, rows, columns, stride: Int

  func fillOnGPU(_ target: Tensor, _ source: Tensor, _ scale: Float, _ rowScale: Tensor?) {
    precondition(rows * columns < 1 << 31, "a region of \(rows)×\(columns)")
    kernel("Quantization.cu", "place_matrix", [KernelDefine("PLACE_MATRIX", 1), KernelDefine("T", target.dtype.cudaName)], on: target.gpu)
      .launch(
        grid: ((rows * columns + 255) / 256, 1, 1), block: (256, 1, 1), target.address + (row * stride + column) * target.dtype.size,
        source.address, rowScale?.address ?? .null, scale, UInt32(source.shape[0]), UInt32(source.shape[1]), UInt32(rows), UInt32(columns),
        Int64(stride))
  }

  func fill(_ target: Tensor, _ source: Tensor, _ scale: Float, _ rowScale: Tensor?) {
    let (values, factors) = (source.floats, rowScale?.floats)
    var numbers = [Float](repeating: 0, count: columns)
    for r in 0..<rows {
      for c in 0..<columns {
        let isInside = r < source.shape[0] && c < source.shape[1]
        numbers[c] = isInside ? scale * values[r * source.shape[1] + c] * (factors?[r] ?? 1) : 0
      }
      let place = target.bytes + ((row + r) * stride + column) * target.dtype.size
      CPUConvert.fromFloat(numbers, count: columns, to: place, type: target.cpuFloat)
    }
  }
}
