import SwiftletCUDA
import SwiftletTensorCore

/// The weight-decomposed form of an adapted linear map on a GPU (Liu et al., 2024): `y = factor · (d·Wᵀ + s·h·Bᵀ) + (x − d)·Wᵀ + bias` with
/// the factor of `MagnitudeScale` and `d` the dropped input; without dropout `d = x`.
struct GPUDoRA {
  /// [out, in] in the compute format.
  let weight: Tensor
  let lora: LoRAOperands
  private let scale: MagnitudeScale
  private var outputs: Int { weight.shape[0] }
  private var inputs: Int { weight.shape[1] }

  /// - Parameter magnitude: float32 [out].
  init(weight: Tensor, lora: LoRAOperands, magnitude: Tensor) {
    self.weight = weight
    self.lora = lora
    scale = MagnitudeScale(.dense(weight), lora, magnitude, like: weight)
  }

  /// `d·Wᵀ + s·h·Bᵀ`; `plain` gets `d·Wᵀ` alone where wanted.
  private func adapted(_ d: Tensor, _ h: Tensor, plain: Tensor? = nil) -> Tensor {
    let (rows, blas) = (d.shape.rows, d.gpu.blas)
    let u = d.fresh(rows, outputs)
    blas.multiply(d.matrix, weight.transposedMatrix, into: u.matrix, m: rows, n: outputs, k: inputs)
    if let plain { d.gpu.copy(from: u.address, to: plain.address, bytes: u.byteCount) }
    blas.multiply(
      h.matrix, lora.b.transposedMatrix, into: u.matrix, m: rows, n: outputs, k: lora.rank, alpha: lora.scale, beta: 1)
    return u
  }

  func forward(_ x: Tensor, dropped: Tensor?, h: Tensor, into y: Tensor, adding residual: Tensor?, bias: Tensor?) {
    let rows = x.shape.rows
    let bias = bias?.cast(to: x.dtype, part: .workspace)
    guard let dropped else {
      let u = adapted(x, h)
      scale.output(u.address, like: x, into: y.address, bias: bias, residual: residual)
      return keepAlive(u)
    }
    let (direct, plain) = (x.fresh(rows, outputs), x.fresh(rows, outputs))
    let u = adapted(dropped, h, plain: plain)
    x.gpu.blas.multiply(x.matrix, weight.transposedMatrix, into: direct.matrix, m: rows, n: outputs, k: inputs)
    scale.output(u.address, like: x, into: y.address, direct: (direct, plain), bias: bias, residual: residual)
    keepAlive(u)
  }

  func backward(_ dy: Tensor, dropped: Tensor?, h: Tensor, dx: Tensor?, accumulate: Bool, gradients: ProjectionGradients) {
    let (rows, blas) = (dy.shape.rows, dy.gpu.blas)
    let u = dropped.flatMap { gradients.magnitude == nil ? nil : adapted($0, h) }
    let scaled = dy.fresh(rows, outputs)
    scale.gradient(dy, into: DeviceRows(scaled), u: u, addingTo: u == nil ? nil : gradients.magnitude)
    let projection = GPUProjection(LinearOperands(weight: .dense(weight), lora: lora))
    let dz = projection.adapterGradients(scaled, lora, x: dropped, h: h, gradients)
    guard let dx else { return }
    guard let dropout = lora.dropout else {
      projection.addThroughAdapter(dz, lora, into: dx, accumulate: accumulate)
      blas.multiply(scaled.matrix, weight.matrix, into: dx.matrix, m: rows, n: inputs, k: outputs, beta: 1)
      return
    }
    blas.multiply(dy.matrix, weight.matrix, into: dx.matrix, m: rows, n: inputs, k: outputs, beta: accumulate ? 1 : 0)
    let through = dx.fresh(rows, inputs)
    blas.multiply(dz.matrix, lora.a.matrix, into: through.matrix, m: rows, n: inputs, k: lora.rank)
    scale.gradient(dy, into: DeviceRows(scaled), minus: 1)
    blas.multiply(scaled.matrix, weight.matrix, into: through.matrix, m: rows, n: inputs, k: outputs, beta: 1)
    dropout.apply(through, to: dx, accumulate: true)
  }
}
