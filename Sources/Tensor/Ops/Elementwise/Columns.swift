import SwiftletCPU
import SwiftletCUDA
import SwiftletTensorCore

/// Copies columns from `sourceStart` on of one matrix to the columns from `targetStart` on of another.
private func copyColumns(_ source: Tensor, from sourceStart: Int, to target: Tensor, at targetStart: Int, count: Int) {
  let (rows, sourceStride, targetStride) = (source.shape.rows, source.shape.columns, target.shape.columns)
  if source.device.isCUDA {
    let from = DeviceRows(source.address + sourceStart * source.dtype.size, stride: sourceStride)
    let into = DeviceRows(target.address + targetStart * target.dtype.size, stride: targetStride)
    return castRows(from, source.dtype, to: into, target.dtype, rows: rows, columns: count, on: source.gpu)
  }
  let (from, into) = (source.pointer + sourceStart, target.pointer + targetStart)
  forRows(rows, columns: count) { row in (into + row * targetStride).update(from: from + row * sourceStride, count: count) }
}

/// `x` [tokens, Σ sizes] cut into matrices [tokens, size] (for fused projections). Saves nothing; backward joins the gradients.
public func splitColumns(_ x: Tensor, _ sizes: [Int]) -> [Tensor] {
  let (shape, dtype, device) = (x.shape, x.dtype, x.device)
  precondition(sizes.reduce(0, +) == shape.columns, "columns \(sizes) of \(x.shape)")
  var start = 0
  let outputs = sizes.map { size in
    defer { start += size }
    let part = Tensor(uninitialized: shape.withColumns(size), dtype, on: device)
    copyColumns(x, from: start, to: part, at: 0, count: size)
    return part
  }
  guard let tape = x.trace?.tape else { return outputs }
  return tape.record("splitColumns", [x], saving: [], outputs: outputs) { context in
    let parts = sizes.indices.map { context.take($0) }
    // Where every part has a gradient each column is written.
    let isWhole = zip(parts, sizes).allSatisfy { $0.0 != nil || $0.1 == 0 }
    let gradient = isWhole ? Tensor(uninitialized: shape, dtype, on: device) : Tensor(zeros: shape, dtype, on: device)
    var start = 0
    for (part, size) in zip(parts, sizes) {
      if let part { copyColumns(part, from: 0, to: gradient, at: start, count: size) }
      start += size
    }
    return [gradient]
  }
}

/// Rows of `x` in the given order, repeats allowed. Saves nothing; backward adds each row's gradient where it came from, in that order.
public func selectRows(_ x: Tensor, _ rows: [Int]) -> Tensor {
  let (columns, shape, dtype, device) = (x.shape.columns, x.shape, x.dtype, x.device)
  for row in rows { precondition(row >= 0 && row < shape.rows, "row \(row) of \(shape)") }
  let output = device.isCUDA ? selectRowsOnGPU(x, rows) : Tensor(uninitialized: [rows.count, columns])
  if !device.isCUDA {
    let (from, into) = (x.pointer, output.pointer)
    forRows(rows.count, columns: columns) { (into + $0 * columns).update(from: from + rows[$0] * columns, count: columns) }
  }
  guard let tape = x.trace?.tape else { return output }
  return tape.record("selectRows", [x], saving: [], outputs: [output]) { context in
    guard let part = context.take() else { return [nil] }
    let gradient = Tensor(zeros: shape, dtype, on: device)
    if device.isCUDA {
      addRowsOnGPU(part, rows, into: gradient)
      return [gradient]
    }
    let (from, into) = (part.pointer, gradient.pointer)
    for (index, row) in rows.enumerated() {
      for j in 0..<columns { into[row * columns + j] += from[index * columns + j] }
    }
    return [gradient]
  }[0]
}
