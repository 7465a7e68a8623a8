import CPlatform
import SwiftletCPU
import SwiftletTensorCore

/// `a + b`, written into whichever is given away and owned alone. Saves nothing; the gradient goes to both.
public func add(_ a: consuming Tensor, _ b: consuming Tensor) -> Tensor {
  precondition(a.shape == b.shape, "sum of \(a.shape) and \(b.shape)")
  let traces = [a.trace, b.trace]
  precondition(
    a.dtype == b.dtype && a.device == b.device, "sum of \(a.dtype) on \(a.device) and \(b.dtype) on \(b.device)")
  let output: Tensor
  if a.device.isCUDA {
    let (x, y) = (a.address, b.address)
    output = a.isUniquelyOwned() ? a.detached : b.target()
    addOnGPU(x, y, into: output)
  } else {
    let (x, y) = (a.pointer, b.pointer)
    output = a.isUniquelyOwned() ? a.detached : b.target()
    let target = output.pointer
    forElements(output.count) { swiftlet_add(x + $0.lowerBound, y + $0.lowerBound, target + $0.lowerBound, $0.count) }
  }
  // Alive until here: `output` may be neither of them.
  _ = consume a
  _ = consume b
  guard let tape = traces.lazy.compactMap({ $0?.tape }).first else { return output }
  return tape.record("add", traces, saving: [], outputs: [output]) { context in
    let gradient = context.take()
    return [context.needs[0] ? gradient : nil, context.needs[1] ? gradient : nil]
  }[0]
}

/// `x` in float32, on a GPU from any float format; `x` itself where it is float32. Saves nothing; the gradient is rounded to the format of `x`.
public func widened(_ x: Tensor) -> Tensor {
  let dtype = x.dtype
  if dtype == .float32 { return x }
  let output = x.cast(to: .float32)
  guard let tape = x.trace?.tape else { return output }
  return tape.record("widened", [x], saving: [], outputs: [output]) { context in
    [context.take().map { $0.cast(to: dtype) }]
  }[0]
}

/// `x · factor`, in place where `x` is given away and owned alone. Saves nothing.
public func scaled(_ x: consuming Tensor, by factor: Float) -> Tensor {
  let trace = x.trace
  let output = multiply(consume x, by: factor)
  guard let trace else { return output }
  return trace.tape.record("scaled", [trace], saving: [], outputs: [output]) { context in
    [context.take().map { multiply($0, by: factor) }]
  }[0]
}

/// `x · factor`, in `x` itself where it is owned alone.
func multiply(_ x: consuming Tensor, by factor: Float) -> Tensor {
  let output = x.target()
  if x.device.isCUDA {
    scaleOnGPU(x, by: factor, into: output)
    return output
  }
  let (from, into) = (x.pointer, output.pointer)
  forElements(output.count) { swiftlet_scale(from + $0.lowerBound, factor, into + $0.lowerBound, $0.count) }
  return output
}
