import SwiftletCPU
import SwiftletCUDA
import SwiftletTensorCore

extension DType {
  /// The format as matrix products on a GPU take it.
  package var blas: BlasType {
    switch self {
    case .float32: .float32
    case .float16: .float16
    case .bfloat16: .bfloat16
    default: preconditionFailure("a matrix of floating-point numbers is wanted, not \(self)")
    }
  }
}

extension Tensor {
  /// The matrix [rows, columns] as products on a GPU read it.
  var matrix: BlasMatrix { block(columns: shape.columns) }

  /// The same memory read as its transpose.
  var transposedMatrix: BlasMatrix { BlasMatrix(address, dtype.blas, stride: shape.columns, transposed: true, owner: storage) }

  /// A block of the matrix from column `first` on.
  func block(first: Int = 0, columns: Int) -> BlasMatrix {
    precondition(first >= 0 && first + columns <= shape.columns, "columns \(first)..<\(first + columns) of \(shape)")
    return BlasMatrix(address + first * dtype.size, dtype.blas, stride: shape.columns, owner: storage)
  }

  /// A matrix of this tensor's format and device.
  func fresh(_ rows: Int, _ columns: Int, _ dtype: DType? = nil, part: MemoryPart = .workspace) -> Tensor {
    Tensor(uninitialized: [rows, columns], dtype ?? self.dtype, part: part, on: device)
  }
}

extension BlasMatrix {
  /// The same memory read as its transpose.
  var T: BlasMatrix { BlasMatrix(pointer, type, stride: stride, transposed: !transposed, owner: owner) }
}

/// A linear map on a GPU: the operands of `Projection`, the weight as it is stored.
///
/// Products read the compute format (that of `x`) and sum in float32. A quantised weight is dequantised into a buffer that lives for one product.
struct GPUProjection {
  let weight: LinearWeight
  let bias: Tensor?
  let lora: LoRAOperands?

  init(_ operands: LinearOperands) {
    weight = operands.weight
    bias = operands.bias
    lora = operands.lora
  }

  var inputs: Int { weight.inputs }
  var outputs: Int { weight.outputs }

  /// `y = residual + x·Wᵀ + s·h·Bᵀ + bias` and `h = drop(x)·Aᵀ`.
  ///
  /// The adapter's part is written first and the large product adds to it: adding the small one last would read and write `y` once more.
  func forward(_ x: Tensor, adding residual: Tensor?) -> (y: Tensor, h: Tensor?) {
    let (rows, blas) = (x.shape.rows, x.gpu.blas)
    let y = Tensor(uninitialized: x.shape.withColumns(outputs), x.dtype, on: x.device)
    let sameBias = self.bias?.cast(to: x.dtype, part: .workspace)
    defer { keepAlive(sameBias) }
    let bias = sameBias.map { ($0.address, $0.dtype.blas) }
    guard let lora else {
      weight.withDense(x.dtype, on: x.device) { weight in
        blas.multiply(
          x.matrix, weight.transposedMatrix, into: y.matrix, m: rows, n: outputs, k: inputs, beta: residual == nil ? 0 : 1,
          adding: residual?.matrix, bias: bias)
      }
      return (y, nil)
    }
    let h = x.fresh(rows, lora.rank, part: .activations)
    let dropped = lora.dropout?.dropped(x) ?? x
    blas.multiply(dropped.matrix, lora.a.transposedMatrix, into: h.matrix, m: rows, n: lora.rank, k: inputs)
    if let magnitude = lora.magnitude {
      let dora = GPUDoRA(weight: weight.dense(x.dtype, on: x.device), lora: lora, magnitude: magnitude)
      dora.forward(x, dropped: lora.dropout == nil ? nil : dropped, h: h, into: y, adding: residual, bias: self.bias)
      return (y, h)
    }
    blas.multiply(
      h.matrix, lora.b.transposedMatrix, into: y.matrix, m: rows, n: outputs, k: lora.rank, alpha: lora.scale,
      beta: residual == nil ? 0 : 1, adding: residual?.matrix)
    weight.withDense(x.dtype, on: x.device) { weight in
      blas.multiply(x.matrix, weight.transposedMatrix, into: y.matrix, m: rows, n: outputs, k: inputs, beta: 1, bias: bias)
    }
    return (y, h)
  }

  /// Adds to `gradients` and writes (adds, where `accumulate`) the input's gradient to `dx`.
  func backward(_ dy: Tensor, x: Tensor?, h: Tensor?, dx: Tensor?, accumulate: Bool, gradients: ProjectionGradients) {
    let (rows, blas) = (dy.shape.rows, dy.gpu.blas)
    if let target = gradients.bias { addColumnSums(of: dy, to: target) }
    if let target = gradients.weight, let x {
      blas.multiply(dy.matrix.T, x.matrix, into: target.matrix, m: outputs, n: inputs, k: rows, beta: 1)
    }
    func throughWeight(adding: Bool) {
      guard let dx else { return }
      weight.withDense(dy.dtype, on: dy.device) { weight in
        blas.multiply(dy.matrix, weight.matrix, into: dx.matrix, m: rows, n: inputs, k: outputs, beta: adding ? 1 : 0)
      }
    }
    guard let lora, let h else { return throughWeight(adding: accumulate) }
    let dropped = x.map { lora.dropout?.dropped($0) ?? $0 }
    if let magnitude = lora.magnitude {
      let dora = GPUDoRA(weight: weight.dense(dy.dtype, on: dy.device), lora: lora, magnitude: magnitude)
      return dora.backward(dy, dropped: dropped, h: h, dx: dx, accumulate: accumulate, gradients: gradients)
    }
    let dz = adapterGradients(dy, lora, x: dropped, h: h, gradients)
    guard let dx else { return }
    addThroughAdapter(dz, lora, into: dx, accumulate: accumulate)
    throughWeight(adding: true)
  }

  /// dB += s·dyᵀ·h, dA += dzᵀ·x; returns dz = s·dy·B [rows, rank].
  func adapterGradients(_ dy: Tensor, _ lora: LoRAOperands, x: Tensor?, h: Tensor, _ gradients: ProjectionGradients) -> Tensor {
    let (rows, blas) = (dy.shape.rows, dy.gpu.blas)
    let dz = dy.fresh(rows, lora.rank)
    blas.multiply(dy.matrix, lora.b.matrix, into: dz.matrix, m: rows, n: lora.rank, k: outputs, alpha: lora.scale)
    if let target = gradients.b {
      blas.multiply(dy.matrix.T, h.matrix, into: target.matrix, m: outputs, n: lora.rank, k: rows, alpha: lora.scale, beta: 1)
    }
    if let target = gradients.a, let x {
      blas.multiply(dz.matrix.T, x.matrix, into: target.matrix, m: lora.rank, n: inputs, k: rows, beta: 1)
    }
    return dz
  }

  /// `dx (+)= drop(dz·A)`
  func addThroughAdapter(_ dz: Tensor, _ lora: LoRAOperands, into dx: Tensor, accumulate: Bool) {
    let (rows, blas) = (dz.shape.rows, dz.gpu.blas)
    guard let dropout = lora.dropout else {
      blas.multiply(dz.matrix, lora.a.matrix, into: dx.matrix, m: rows, n: inputs, k: lora.rank, beta: accumulate ? 1 : 0)
      return
    }
    let through = dx.fresh(rows, inputs)
    blas.multiply(dz.matrix, lora.a.matrix, into: through.matrix, m: rows, n: inputs, k: lora.rank)
    dropout.apply(through, to: dx, accumulate: accumulate)
  }
}

extension Dropout {
  /// `drop(x)` in new memory on a GPU; rows count from the start of the stream.
  func dropped(_ x: Tensor) -> Tensor {
    let target = x.fresh(x.shape.rows, x.shape.columns)
    apply(x, to: target, accumulate: false)
    return target
  }

  /// `target (+)= drop(x)` for whole matrices on a GPU.
  func apply(_ x: Tensor, to target: Tensor, accumulate: Bool) {
    apply(
      DeviceRows(x), to: DeviceRows(target), x.dtype, rows: x.shape.rows, columns: x.shape.columns,
      first: firstRow * x.shape.columns, accumulate: accumulate, on: x.gpu)
  }
}

/// `target[j] += Σ y[·, j]` in float32: a product with a row of ones.
func addColumnSums(of y: Tensor, to target: Tensor) {
  let (rows, columns) = (y.shape.rows, y.shape.columns)
  let ones = Tensor(filled: 1, [1, rows], on: y.device).cast(to: y.dtype, part: .workspace)
  let sums = BlasMatrix(target.address, target.dtype.blas, stride: columns)
  y.gpu.blas.multiply(ones.matrix, y.matrix, into: sums, m: 1, n: columns, k: rows, beta: 1)
}
