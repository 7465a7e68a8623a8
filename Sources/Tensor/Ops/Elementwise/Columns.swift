import SwiftletCPU
import SwiftletTensorCore

/// Copies a block of columns from one matrix to another.
private func copyColumns(
  rows: Int, count: Int, from source: UnsafePointer<Float>, stride sourceStride: Int, to target: UnsafeMutablePointer<Float>,
  stride targetStride: Int
) {
  forRows(rows, columns: count) { row in
    (target + row * targetStride).update(from: source + row * sourceStride, count: count)
  }
}

/// `x` [tokens, Σ sizes] cut into matrices [tokens, size] (for fused projections). Saves nothing; backward joins the gradients.
public func splitColumns(_ x: Tensor, _ sizes: [Int]) -> [Tensor] {
  let (rows, columns, shape) = (x.shape.rows, x.shape.columns, x.shape)
  precondition(sizes.reduce(0, +) == columns, "columns \(sizes) of \(x.shape)")
  var start = 0
  let outputs = sizes.map { size in
    defer { start += size }
    let part = Tensor(uninitialized: shape.withColumns(size))
    copyColumns(rows: rows, count: size, from: x.pointer + start, stride: columns, to: part.pointer, stride: size)
    return part
  }
  guard let tape = x.trace?.tape else { return outputs }
  return tape.record("splitColumns", [x], saving: [], outputs: outputs) { context in
    let gradient = Tensor(zeros: shape)
    var start = 0
    for (index, size) in sizes.enumerated() {
      defer { start += size }
      guard let part = context.take(index) else { continue }
      copyColumns(rows: rows, count: size, from: part.pointer, stride: size, to: gradient.pointer + start, stride: columns)
    }
    return [gradient]
  }
}

/// Rows of `x` in the given order, repeats allowed. Saves nothing; backward adds each row's gradient where it came from.
public func selectRows(_ x: Tensor, _ rows: [Int]) -> Tensor {
  let (columns, shape) = (x.shape.columns, x.shape)
  for row in rows { precondition(row >= 0 && row < shape.rows, "row \(row) of \(shape)") }
  let output = Tensor(uninitialized: [rows.count, columns])
  let (from, into) = (x.pointer, output.pointer)
  forRows(rows.count, columns: columns) { (into + $0 * columns).update(from: from + rows[$0] * columns, count: columns) }
  guard let tape = x.trace?.tape else { return output }
  return tape.record("selectRows", [x], saving: [], outputs: [output]) { context in
    guard let part = context.take() else { return [nil] }
    let gradient = Tensor(zeros: shape)
    let (from, into) = (part.pointer, gradient.pointer)
    for (index, row) in rows.enumerated() {
      for j in 0..<columns { into[row * columns + j] += from[index * columns + j] }
    }
    return [gradient]
  }[0]
}
