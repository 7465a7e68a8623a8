import SwiftletTensorCore

/// Rotary position embedding (Su et al., 2021): turns pairs of each head's features by angles that depend on the position.
///
/// - Parameters:
///   - x: [tokens, heads · headDimension], float32, on a GPU of any float format; overwritten where the caller gives away the only reference.
///   - cos: [tokens, rotary/2], float32, with any attention scaling multiplied in; `sin` alike. The first `rotary` features of a head turn, the rest
///     stay as they are.
///   - interleaved: pairs are (2i, 2i+1) instead of (i, i + rotary/2).
/// - Returns: the shape of `x`.
///
/// Saves the tables. Backward turns the gradient by the opposite angle, in place where it is owned alone.
public func rope(_ x: consuming Tensor, heads: Int, cos: Tensor, sin: Tensor, interleaved: Bool = false) -> Tensor {
  let (rows, columns) = (x.shape.rows, x.shape.columns)
  precondition(heads > 0 && columns % heads == 0, "\(heads) heads do not divide the \(columns) features of \(x.shape)")
  precondition(cos.shape == sin.shape && cos.shape.rows == rows, "rotary tables \(cos.shape), \(sin.shape) for input \(x.shape)")
  precondition(2 * cos.shape.columns <= columns / heads, "rotary tables \(cos.shape) for heads of \(columns / heads)")
  let form = RoPEForm(
    rows: rows, heads: heads, headDimension: columns / heads, half: cos.shape.columns, interleaved: interleaved)
  let trace = x.trace
  let output = form.turn(consume x, cos, sin, sign: 1)
  guard let trace else { return output }
  return trace.tape.record("rope", [trace], saving: [cos, sin], outputs: [output]) { context in
    guard let gradient = context.take() else { return [nil] }
    return [form.turn(gradient, context.saved[0], context.saved[1], sign: -1)]
  }[0]
}
