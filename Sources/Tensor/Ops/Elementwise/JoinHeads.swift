import SwiftletCPU
import SwiftletCUDA
import SwiftletTensorCore

/// Each head's features of `a` with those of `b` behind them: `[a₀ b₀ a₁ b₁ …]`, the queries and keys of multi-head latent attention.
///
/// - Parameters:
///   - a: [tokens, heads · n], float32, on a GPU of any float format.
///   - b: [tokens, heads · m], or [tokens, m], which every head gets; format and device as `a`.
/// - Returns: [tokens, heads · (n + m)].
///
/// Saves nothing. Backward cuts the gradient; of a shared `b` it adds up the heads', in order, in float32.
public func joinHeads(_ a: Tensor, _ b: Tensor, heads: Int, sharesB: Bool = false) -> Tensor {
  let rows = a.shape.rows
  precondition(a.dtype == b.dtype && a.device == b.device, "heads of \(a.dtype) on \(a.device) and \(b.dtype) on \(b.device)")
  precondition(
    heads > 0 && a.shape.columns % heads == 0 && (sharesB || b.shape.columns % heads == 0) && b.shape.rows == rows,
    "\(heads) heads of \(a.shape) and \(b.shape)")
  let form = HeadJoin(
    rows: rows, heads: heads, first: a.shape.columns / heads, second: sharesB ? b.shape.columns : b.shape.columns / heads, sharesB: sharesB)
  let output = Tensor(uninitialized: [rows, heads * form.width], a.dtype, on: a.device)
  form.copyFirst(of: output, with: a, isCut: false)
  form.copySecond(of: output, with: b)
  guard let tape = tape(of: a, b) else { return output }
  return tape.record("joinHeads", [a, b], saving: [], outputs: [output]) { context in
    guard let gradient = context.take() else { return [nil, nil] }
    var (da, db): (Tensor?, Tensor?)
    if context.needs[0] {
      let part = Tensor(uninitialized: [rows, heads * form.first], gradient.dtype, on: gradient.device)
      form.copyFirst(of: gradient, with: part, isCut: true)
      da = part
    }
    if context.needs[1] { db = form.cutSecond(gradient) }
    return [da, db]
  }[0]
}

/// What `joinHeads` joins, taken apart: [tokens, heads · (n + m)] to [tokens, heads · n] and [tokens, heads · m].
///
/// - Parameter first: n, features of a head that go to the first part.
///
/// Saves nothing; backward joins the gradients.
public func splitHeads(_ x: Tensor, heads: Int, first: Int) -> (first: Tensor, second: Tensor) {
  let (rows, dtype, device) = (x.shape.rows, x.dtype, x.device)
  precondition(
    heads > 0 && x.shape.columns % heads == 0 && first <= x.shape.columns / heads, "\(heads) heads of \(x.shape), \(first) first")
  let form = HeadJoin(rows: rows, heads: heads, first: first, second: x.shape.columns / heads - first, sharesB: false)
  let a = Tensor(uninitialized: [rows, heads * first], dtype, on: device)
  form.copyFirst(of: x, with: a, isCut: true)
  let outputs = [a, form.cutSecond(x)]
  guard let tape = x.trace?.tape else { return (outputs[0], outputs[1]) }
  let traced = tape.record("splitHeads", [x], saving: [], outputs: outputs) { context in
    let (da, db) = (context.take(0), context.take(1))
    if da == nil && db == nil { return [nil] }
    let gradient = Tensor(uninitialized: [rows, heads * form.width], dtype, on: device)
    form.copyFirst(of: gradient, with: da ?? Tensor(zeros: [rows, heads * form.first], dtype, on: device), isCut: false)
    form.copySecond(of: gradient, with: db ?? Tensor(zeros: [rows, heads * form.second], dtype, on: device))
    return [gradient]
  }
  return (traced[0], traced[1])
}

/// The sizes of one joining.
private struct HeadJoin {
  let rows, heads, first, second: Int
  let sharesB: Bool
  var width: Int { first + second }

  /// Copies `part` [rows, heads · first] into the joined heads, or out of them.
  func copyFirst(of joined: Tensor, with part: Tensor, isCut: Bool) {
    copy(columns: first, at: 0, of: joined, with: part, isCut: isCut)
  }

  func copySecond(of joined: Tensor, with part: Tensor) {
    guard sharesB else { return copy(columns: second, at: first, of: joined, with: part, isCut: false) }
    if rows * heads * second == 0 { return }
    if joined.device.isCUDA {
      let target = joined.address + first * joined.dtype.size
      return groupKernel("spread_rows", joined.dtype, target, part.address, on: joined.gpu)
        .launch(
          grid: grid(rows * heads * second / groupWidth(joined.dtype, target, part.address), each: 1024), block: (256, 1, 1), target,
          part.address, Int64(rows * heads), UInt32(second), UInt32(heads), Int64(width))
    }
    let (from, into) = (part.pointer, joined.pointer + first)
    forRows(rows * heads, columns: second) { row in
      (into + row * width).update(from: from + row / heads * second, count: second)
    }
  }

  /// The gradient of `b`.
  func cutSecond(_ joined: Tensor) -> Tensor {
    let part = Tensor(uninitialized: [rows, sharesB ? second : heads * second], joined.dtype, on: joined.device)
    if !sharesB {
      copy(columns: second, at: first, of: joined, with: part, isCut: true)
    } else if joined.device.isCUDA {
      if part.count == 0 { return part }
      let source = joined.address + first * joined.dtype.size
      groupKernel("sum_row_groups", joined.dtype, source, part.address, on: joined.gpu)
        .launch(
          grid: grid(part.count / groupWidth(joined.dtype, source, part.address), each: 1024), block: (256, 1, 1), part.address, source,
          Int64(rows), UInt32(second), UInt32(heads), Int64(width))
    } else {
      let (from, into) = (joined.pointer + first, part.pointer)
      forRows(rows, columns: heads * second) { row in
        for j in 0..<second {
          var sum: Float = 0
          for head in 0..<heads { sum += from[(row * heads + head) * width + j] }
          into[row * second + j] = sum
        }
      }
    }
    return part
  }

  private func groupWidth(_ dtype: DType, _ wide: DevicePointer, _ narrow: DevicePointer) -> Int {
    vectorWidth([(wide, dtype), (narrow, dtype)], dividing: [second, width])
  }

  private func groupKernel(
    _ name: StaticString, _ dtype: DType, _ wide: DevicePointer, _ narrow: DevicePointer, on device: CUDADevice
  ) -> CUDAKernel {
    kernel(
      "Elementwise.cu", name, [KernelDefine("T", dtype.cudaName), KernelDefine("WIDTH", groupWidth(dtype, wide, narrow))], on: device)
  }

  private func copy(columns: Int, at start: Int, of joined: Tensor, with part: Tensor, isCut: Bool) {
    if rows * heads * columns == 0 { return }
    if joined.device.isCUDA {
      let wide = DeviceRows(joined.address + start * joined.dtype.size, stride: width)
      let narrow = DeviceRows(part.address, stride: columns)
      return castRows(
        isCut ? wide : narrow, joined.dtype, to: isCut ? narrow : wide, joined.dtype, rows: rows * heads, columns: columns, on: joined.gpu)
    }
    let (wide, narrow) = (joined.pointer + start, part.pointer)
    forRows(rows * heads, columns: columns) { row in
      if isCut {
        (narrow + row * columns).update(from: wide + row * width, count: columns)
      } else {
        (wide + row * width).update(from: narrow + row * columns, count: columns)
      }
    }
  }
}
