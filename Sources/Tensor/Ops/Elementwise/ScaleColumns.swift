import SwiftletCPU
import SwiftletCUDA
import SwiftletTensorCore

/// `y[t, j] = x[t, j] · factors[j]` for `x` [tokens, columns] and `factors` [columns], float32, on a GPU of any float formats.
///
/// Saves both. Backward: dx = dy · factors; dfactors[j] = Σ dy[·, j] · x[·, j], tokens in an order of their number only, float32.
public func scaleColumns(_ x: Tensor, _ factors: Tensor) -> Tensor {
  precondition(factors.count == x.shape.columns, "\(factors.count) factors for the columns of \(x.shape)")
  let output = timesColumns(x, factors)
  guard let tape = tape(of: x, factors) else { return output }
  return tape.record("scaleColumns", [x, factors], saving: [x, factors], outputs: [output]) { context in
    guard let gradient = context.take() else { return [nil, nil] }
    let (x, factors) = (context.saved[0], context.saved[1])
    return [
      context.needs[0] ? timesColumns(gradient, factors) : nil, context.needs[1] ? columnSums(gradient, x, factors.shape) : nil,
    ]
  }[0]
}

private func timesColumns(_ x: Tensor, _ factors: Tensor) -> Tensor {
  if x.device.isCUDA { return timesColumnsOnGPU(x, factors) }
  let output = Tensor(uninitialized: x.shape)
  let (columns, from, factor, into) = (x.shape.columns, x.pointer, factors.pointer, output.pointer)
  forRows(x.shape.rows, columns: columns) { row in
    for j in 0..<columns { into[row * columns + j] = from[row * columns + j] * factor[j] }
  }
  return output
}

private func columnSums(_ a: Tensor, _ b: Tensor, _ shape: Shape) -> Tensor {
  if a.device.isCUDA { return columnSumsOnGPU(a, b, shape) }
  let sums = Tensor(zeros: shape)
  let (columns, x, y, into) = (a.shape.columns, a.pointer, b.pointer, sums.pointer)
  for row in 0..<a.shape.rows {
    for j in 0..<columns { into[j] += x[row * columns + j] * y[row * columns + j] }
  }
  return sums
}
