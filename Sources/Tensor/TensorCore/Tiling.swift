/// `body` of `x`, `rows` rows at a time: what `body` makes on its way never exists for all rows at once.
///
/// On a tape only `x` is kept, and backward runs `body` again, tile by tile in ascending order, so that the sums of parameters' gradients have
/// a fixed order. Outputs have the bits of `body(x)` where a row's result does not depend on how many rows there are. Cost: copies of the
/// outputs, and in backward one more forward of what `body`'s rules read.
///
/// - Parameters:
///   - x: [rows, features].
///   - body: gets the number of the tile's first row and the tile; gives tensors with as many rows, each made from its row of `x` alone.
/// - Returns: `body`'s outputs for all rows.
public func tiled(_ x: Tensor, rows: Int, _ body: @escaping (_ first: Int, _ part: Tensor) -> [Tensor]) -> [Tensor] {
  let tiling = Tiling(count: x.shape[0], size: rows)
  if tiling.ranges.count < 2 { return body(0, x) }
  let outputs = tiling.forward(x, body)
  guard let tape = x.trace?.tape else { return outputs }
  let shapes = outputs.map(\.shape)
  return tape.record("tiled", [x], saving: [x], outputs: outputs, always: true) { context in
    // A later op may have read an output under another shape.
    let gradients = shapes.enumerated().map { index, shape in context.take(index)?.reshaped(shape) }
    return [tiling.backward(gradients, &context, body)]
  }
}

private struct Tiling {
  let ranges: [Range<Int>]

  init(count: Int, size: Int) {
    precondition(size > 0, "tiles of \(size) rows")
    ranges = stride(from: 0, to: count, by: size).map { $0..<min(count, $0 + size) }
  }

  func forward(_ x: Tensor, _ body: (Int, Tensor) -> [Tensor]) -> [Tensor] {
    var whole: [Tensor] = []
    for range in ranges {
      let parts = body(range.lowerBound, x.rows(range))
      if whole.isEmpty { whole = parts.map { Tensor(uninitialized: [x.shape[0], $0.shape.columns], $0.dtype, on: $0.device) } }
      for (target, part) in zip(whole, parts) { target.rows(range).copyElements(of: part) }
    }
    return whole
  }

  /// The gradient of `x`; parameters get theirs while `body` runs again.
  func backward(_ gradients: [Tensor?], _ context: inout BackwardContext, _ body: (Int, Tensor) -> [Tensor]) -> Tensor? {
    let x = context.saved[0]
    let target = context.needs[0] ? context.destination(0, x.shape, x.dtype, on: x.device) : nil
    for range in ranges {
      let tape = Tape(isReplay: true)
      let into = target?.tensor.rows(range)
      let box = GradientBox(target?.accumulate == true ? into : nil)
      let part = x.rows(range)
      let outputs = body(range.lowerBound, into == nil ? tape.carry(part) : tape.watch(part, for: box))
      tape.backward(from: consume outputs, seeds: gradients.map { $0?.rows(range) })
      guard let into, box.gradient?.storage !== into.storage else { continue }
      into.copyElements(of: box.gradient ?? Tensor(zeros: into.shape, into.dtype, on: into.device))
    }
    return target?.tensor
  }
}
