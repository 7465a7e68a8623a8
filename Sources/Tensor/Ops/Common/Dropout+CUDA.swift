import SwiftletCUDA
import SwiftletTensorCore

extension Dropout {
  /// `target = x · mask / (1 − p)` (added to `target` where `accumulate`) on a GPU, for `rows` × `columns` elements; element (i, j) stands at
  /// place `first + i · columns + j` of the stream. `target` may be `x`. The mask's bits are those of the CPU.
  func apply(
    _ x: DeviceRows, to target: DeviceRows, _ dtype: DType, rows: Int, columns: Int, first: Int, accumulate: Bool = false,
    on device: CUDADevice
  ) {
    let flat = flattened(rows: rows, columns: columns, strides: [x.stride, target.stride])
    let (xStride, targetStride) = flat.isFlat ? (flat.columns, flat.columns) : (x.stride, target.stride)
    var width = vectorWidth([(x.address, dtype), (target.address, dtype)], dividing: [flat.columns, xStride, targetStride])
    // A block of random words serves four places; vectors must begin where a block does.
    if width < 4 || first % 4 != 0 { width = 1 }
    precondition(rows * columns / width <= Int(UInt32.max), "\(rows) × \(columns) elements are too many for one pass")
    let defines = [
      KernelDefine("T", dtype.cudaName), KernelDefine("WIDTH", width), KernelDefine("ACCUMULATE", accumulate ? 1 : 0),
    ]
    kernel("Dropout.cu", "dropout", defines, on: device).launch(
      grid: (min(rows * columns / width / 256 + 1, 16 * device.multiprocessors), 1, 1), block: (256, 1, 1), target.address, x.address,
      random.seed, random.stream,
      UInt64(first), probability, 1 / (1 - probability), Int64(flat.rows), UInt32(flat.columns), Int64(targetStride), Int64(xStride))
  }
}
