import SwiftletCPU
import SwiftletTensorCore

/// Memory that backward adds the gradients of a projection's parameters to; nil where none is wanted.
struct ProjectionGradients {
  var weight: Tensor?
  var bias: Tensor?
  var a: Tensor?
  var b: Tensor?
  var magnitude: Tensor?

  /// Gradients in the order of `Projection.parameters`.
  func list(_ form: Projection.Form) -> [Tensor?] {
    [weight] + (form.hasBias ? [bias] : []) + (form.scale != nil ? [a, b] : []) + (form.hasMagnitude ? [magnitude] : [])
  }

  /// The same for a projection on the CPU.
  init(_ projection: Projection, context: inout BackwardContext, first: Int) {
    self.init(projection.parameters, projection.form, context: &context, first: first)
  }

  /// Zeroed memory, or what has arrived, for the inputs `first…` of the node: `parameters` in the order of `Projection.parameters`.
  init(_ parameters: [Tensor?], _ form: Projection.Form, context: inout BackwardContext, first: Int) {
    var index = first
    var rest = parameters[...]
    func next(_ isThere: Bool = true) -> Tensor? {
      guard isThere, let tensor = rest.popFirst() else { return nil }
      defer { index += 1 }
      return tensor.flatMap { context.sum(index, $0.shape, on: $0.device) }
    }
    weight = next()
    bias = next(form.hasBias)
    a = next(form.scale != nil)
    b = next(form.scale != nil)
    magnitude = next(form.hasMagnitude)
  }
}

extension Projection {
  /// Backward of `forward` over the same rows: adds to `gradients`, and writes (adds, where `accumulate`) the input's gradient to `dx`.
  ///
  /// `x` is read where the weight, A or the magnitude wants a gradient; `dy` is left as it is.
  func backward(
    _ dy: UnsafePointer<Float>, x: UnsafePointer<Float>?, h: Tensor?, rows: Int, firstRow: Int = 0, dx: UnsafeMutablePointer<Float>?,
    accumulate: Bool, gradients: ProjectionGradients
  ) {
    if let target = gradients.bias { addColumnSums(dy, rows: rows, columns: outputs, to: target.pointer) }
    if let target = gradients.weight, let x {
      precondition(norms == nil, "a weight under DoRA is frozen")
      product(
        MatrixView(dy, columns: outputs).T, MatrixView(x, columns: inputs), into: target.pointer, m: outputs, n: inputs, k: rows,
        accumulate: true)
    }
    guard lora != nil, let h else {
      if let dx { weight.multiply(dy, rows: rows, into: dx, accumulate: accumulate) }
      return
    }
    let dropped = x.flatMap { self.dropped($0, rows: rows, firstRow: firstRow) }
    if let target = gradients.magnitude, let x {
      addMagnitudeGradient(dy, x: dropped?.pointer ?? UnsafeMutablePointer(mutating: x), h: h, rows: rows, to: target.pointer)
    }
    let scaled = magnitudeScaled(dy, rows: rows)
    let dz = adapterGradients(
      scaled?.pointer ?? UnsafeMutablePointer(mutating: dy), x: dropped.map { UnsafePointer($0.pointer) } ?? x, h: h, rows: rows,
      gradients: gradients)
    if let dx {
      inputGradient(dy, scaled: scaled, dz: dz, rows: rows, firstRow: firstRow, dx: dx, accumulate: accumulate)
    }
  }

  /// `dy · ratio`; nil without DoRA.
  private func magnitudeScaled(_ dy: UnsafePointer<Float>, rows: Int) -> Tensor? {
    guard let ratio = magnitudeRatio() else { return nil }
    let result = Tensor(uninitialized: [rows, outputs], part: .workspace)
    let (target, outputs) = (result.pointer, outputs)
    forRows(rows, columns: outputs) { row in
      for j in 0..<outputs { target[row * outputs + j] = dy[row * outputs + j] * ratio[j] }
    }
    return result
  }

  /// dB += s·dyᵀ·h, dA += dzᵀ·x; returns dz = s·dy·B [rows, rank].
  private func adapterGradients(
    _ dy: UnsafePointer<Float>, x: UnsafePointer<Float>?, h: Tensor, rows: Int, gradients: ProjectionGradients
  ) -> Tensor? {
    guard let lora else { return nil }
    let dz = Tensor(uninitialized: [rows, lora.rank], part: .workspace)
    let incoming = MatrixView(dy, columns: outputs)
    product(incoming, MatrixView(lora.b), into: dz.pointer, m: rows, n: lora.rank, k: outputs, alpha: lora.scale)
    if let target = gradients.b {
      product(incoming.T, MatrixView(h), into: target.pointer, m: outputs, n: lora.rank, k: rows, accumulate: true, alpha: lora.scale)
    }
    if let target = gradients.a, let x {
      product(MatrixView(dz).T, MatrixView(x, columns: inputs), into: target.pointer, m: lora.rank, n: inputs, k: rows, accumulate: true)
    }
    return dz
  }

  private func inputGradient(
    _ dy: UnsafePointer<Float>, scaled: Tensor?, dz: Tensor?, rows: Int, firstRow: Int, dx: UnsafeMutablePointer<Float>, accumulate: Bool
  ) {
    guard let lora, let dz else { return }
    let dropout = lora.dropout
    let direct = dropout == nil ? scaled?.pointer ?? UnsafeMutablePointer(mutating: dy) : UnsafeMutablePointer(mutating: dy)
    weight.multiply(direct, rows: rows, into: dx, accumulate: accumulate)
    guard let dropout else {
      product(MatrixView(dz), MatrixView(lora.a), into: dx, m: rows, n: inputs, k: lora.rank, accumulate: true)
      return
    }
    let through = Tensor(uninitialized: [rows, inputs], part: .workspace)
    product(MatrixView(dz), MatrixView(lora.a), into: through.pointer, m: rows, n: inputs, k: lora.rank)
    if let scaled {
      let values = scaled.pointer
      forElements(rows * outputs) { for i in $0 { values[i] -= dy[i] } }
      weight.multiply(scaled.pointer, rows: rows, into: through.pointer, accumulate: true)
    }
    dropout.apply(through.pointer, to: dx, first: (firstRow + dropout.firstRow) * inputs, count: rows * inputs, accumulate: true)
  }

  /// `dm[j] += Σ dy[·, j]·u[·, j] / norm[j]` with `u = x·Wᵀ + s·h·Bᵀ` computed anew, which costs less than keeping it.
  private func addMagnitudeGradient(
    _ dy: UnsafePointer<Float>, x: UnsafePointer<Float>, h: Tensor, rows: Int, to target: UnsafeMutablePointer<Float>
  ) {
    guard let lora, let norms else { return }
    let u = Tensor(uninitialized: [rows, outputs], part: .workspace)
    let (values, norm, outputs) = (u.pointer, norms.pointer, outputs)
    weight.multiplyTransposed(MatrixView(x, columns: inputs), rows: rows, into: values)
    product(MatrixView(h), MatrixView(lora.b).T, into: values, m: rows, n: outputs, k: lora.rank, accumulate: true, alpha: lora.scale)
    forElements(rows * outputs) { for i in $0 { values[i] *= dy[i] } }
    let sums = Tensor(zeros: [outputs], part: .workspace)
    addColumnSums(values, rows: rows, columns: outputs, to: sums.pointer)
    for j in 0..<outputs { target[j] += sums.pointer[j] / norm[j] }
  }
}

/// `target[j] += Σ y[·, j]`, rows in ascending order, columns in parallel.
func addColumnSums(_ y: UnsafePointer<Float>, rows: Int, columns: Int, to target: UnsafeMutablePointer<Float>) {
  parallelFor(columns, grain: max(16, (1 << 14) / max(rows, 1))) { range in
    for row in 0..<rows {
      let values = y + row * columns
      for j in range { target[j] += values[j] }
    }
  }
}

extension ProjectionGradients {
  /// Zeroed memory for the parameters of `projection` that want a gradient.
  init(zerosFor projection: Projection) {
    func zeros(_ tensor: Tensor?) -> Tensor? {
      tensor.flatMap { $0.needsGradient ? Tensor(zeros: $0.shape, part: .gradients) : nil }
    }
    weight = zeros(projection.weight.trained)
    bias = zeros(projection.bias)
    a = zeros(projection.lora?.a)
    b = zeros(projection.lora?.b)
    magnitude = zeros(projection.lora?.magnitude)
  }
}
