import SwiftletCPU
import SwiftletCUDA
import SwiftletTensorCore

/// The sum of what lies at `a` and `b`, in the format of `y`, into `y`, which may be either.
func addOnGPU(_ a: DevicePointer, _ b: DevicePointer, into y: Tensor) {
  kernel("Elementwise.cu", "add", [KernelDefine("T", y.dtype.cudaName)], on: y.gpu)
    .launch(grid: blocks(y), block: (256, 1, 1), y.address, a, b, Int64(y.count))
}

/// `x · factor` on a GPU into `y`, which may be `x`.
func scaleOnGPU(_ x: Tensor, by factor: Float, into y: Tensor) {
  kernel("Elementwise.cu", "scale", [KernelDefine("T", y.dtype.cudaName)], on: y.gpu)
    .launch(grid: blocks(y), block: (256, 1, 1), y.address, x.address, factor, Int64(y.count))
}

/// `to = factor · from` for `rows` × `columns` elements on a GPU, formats and row distances free: a block of columns, a conversion, or both.
func castRows(
  _ from: DeviceRows, _ fromType: DType, to: DeviceRows, _ toType: DType, rows: Int, columns: Int, factor: Float = 1, on device: CUDADevice
) {
  let wider = fromType.size > toType.size ? (from.address, fromType) : (to.address, toType)
  let operands = [wider, (from.address, fromType), (to.address, toType)]
  let width = vectorWidth(operands, dividing: [columns, from.stride, to.stride])
  let defines = [
    KernelDefine("TO", toType.cudaName), KernelDefine("FROM", fromType.cudaName), KernelDefine("WIDTH", width),
  ]
  kernel("Elementwise.cu", "cast_rows", defines, on: device).launch(
    grid: grid(rows * columns / width, each: 1024), block: (256, 1, 1), to.address, from.address, factor, Int64(rows), UInt32(columns),
    Int64(to.stride), Int64(from.stride))
}

/// `y[t, j] = x[t, j] · factors[j]` on a GPU, in the format of `x`.
func timesColumnsOnGPU(_ x: Tensor, _ factors: Tensor) -> Tensor {
  let y = Tensor(uninitialized: x.shape, x.dtype, on: x.device)
  let columns = x.shape.columns
  let operands = [(x.address, x.dtype), (y.address, y.dtype), (factors.address, factors.dtype)]
  let width = vectorWidth(operands, dividing: [columns])
  let defines = [
    KernelDefine("T", x.dtype.cudaName), KernelDefine("FACTOR", factors.dtype.cudaName), KernelDefine("WIDTH", width),
  ]
  kernel("Elementwise.cu", "scale_columns", defines, on: x.gpu).launch(
    grid: grid(x.count / width, each: 1024), block: (256, 1, 1), y.address, x.address, factors.address, Int64(x.shape.rows), UInt32(columns)
  )
  return y
}

/// Σ over rows of `a · b` (of `a` without `b`) on a GPU, float32, by blocks of rows that depend on their number only.
func columnSumsOnGPU(_ a: Tensor, _ b: Tensor?, _ shape: Shape, part: MemoryPart = .activations) -> Tensor {
  precondition(b == nil || b?.dtype == a.dtype, "column sums of \(a.dtype) and \(String(describing: b?.dtype))")
  let sums = Tensor(zeros: shape, part: part, on: a.device)
  let (rows, columns) = (a.shape.rows, a.shape.columns)
  if rows == 0 || columns == 0 { return sums }
  let blockRows = max(64, (rows + 255) / 256)
  let blocks = (rows + blockRows - 1) / blockRows
  let partials = Tensor(uninitialized: [blocks, columns], part: .workspace, on: a.device)
  kernel("Elementwise.cu", "column_sums", [KernelDefine("T", a.dtype.cudaName)], on: a.gpu).launch(
    grid: ((columns + 31) / 32, blocks, 1), block: (256, 1, 1), partials.address, a.address, b?.address ?? .null, Int64(rows),
    UInt32(columns), UInt32(blockRows))
  addPartials(partials.address, blocks: blocks, into: sums, accumulate: false)
  keepAlive(partials)
  return sums
}

/// Adds up partial sums [blocks, elements of `target`] in one order; into `target` or, where `accumulate`, on top of it.
func addPartials(_ partials: DevicePointer, blocks: Int, into target: Tensor, accumulate: Bool) {
  precondition(target.dtype == .float32, "sums of blocks go to float32, not \(target.dtype)")
  kernel("Elementwise.cu", "sum_partials", [KernelDefine("T", target.dtype.cudaName)], on: target.gpu).launch(
    grid: grid(target.count, each: 32), block: (1024, 1, 1), target.address, partials, UInt32(blocks), UInt32(target.count),
    Int32(accumulate ? 1 : 0))
}

/// Rows of `x` in the order of `rows`.
func selectRowsOnGPU(_ x: Tensor, _ rows: [Int]) -> Tensor {
  let numbers = Tensor(rows.map(Int32.init), [rows.count], part: .workspace, on: x.device)
  let y = selectRowsOnGPU(x, numbers)
  keepAlive(numbers)
  return y
}

/// `target[rows[i]] += x[i]`, rows that meet in ascending order of i.
func addRowsOnGPU(_ x: Tensor, _ rows: [Int], into target: Tensor) {
  if x.count == 0 { return }
  let numbers = Tensor(rows.map(Int32.init), [rows.count], part: .workspace, on: x.device)
  SortedRows(numbers).add(x, times: 1, into: target)
  keepAlive(numbers)
}

/// Rows of `x` in the order of `rows` (int32, on the same GPU).
func selectRowsOnGPU(_ x: Tensor, _ rows: Tensor) -> Tensor {
  let columns = x.shape.columns
  let y = Tensor(uninitialized: [rows.count, columns], x.dtype, on: x.device)
  let width = vectorWidth([(x.address, x.dtype), (y.address, x.dtype)], dividing: [columns])
  kernel("Elementwise.cu", "select_rows", [KernelDefine("T", x.dtype.cudaName), KernelDefine("WIDTH", width)], on: x.gpu).launch(
    grid: grid(y.count / width, each: 1024), block: (256, 1, 1), y.address, x.address, rows.address, Int64(rows.count), UInt32(columns))
  return y
}

private func blocks(_ y: Tensor) -> (Int, Int, Int) { grid(y.count, each: 4096) }
