import SwiftletCPU
import SwiftletCUDA
import SwiftletTensorCore

/// The weight-decomposed form of an adapted linear map on a GPU (Liu et al., 2024): `y = ratio · (d·Wᵀ + s·h·Bᵀ) + (x − d)·Wᵀ + bias` with
/// `ratio = magnitude / ‖W + s·B·A‖` and `d` the dropped input; without dropout `d = x`.
struct GPUDoRA {
  /// [out, in] in the compute format.
  let weight: Tensor
  let lora: LoRAOperands
  /// float32 [out].
  let magnitude: Tensor
  private let norms: Tensor
  private var outputs: Int { weight.shape[0] }
  private var inputs: Int { weight.shape[1] }

  init(weight: Tensor, lora: LoRAOperands, magnitude: Tensor) {
    precondition(magnitude.dtype == .float32, "a DoRA magnitude is float32, not \(magnitude.dtype)")
    self.weight = weight
    self.lora = lora
    self.magnitude = magnitude
    let sum = weight.copied(part: .workspace)
    let gpu = weight.gpu
    gpu.blas.multiply(
      lora.b.matrix, lora.a.matrix, into: sum.matrix, m: weight.shape[0], n: weight.shape[1], k: lora.rank, alpha: lora.scale, beta: 1)
    norms = Tensor(uninitialized: [weight.shape[0]], part: .workspace, on: weight.device)
    kernel("DoRA.cu", "row_norms", [KernelDefine("T", weight.dtype.cudaName)], on: gpu)
      .launch(grid: (weight.shape[0], 1, 1), block: (256, 1, 1), norms.address, sum.address, Int32(weight.shape[1]))
  }

  private func kernelCalled(_ name: StaticString) -> CUDAKernel {
    kernel("DoRA.cu", name, [KernelDefine("T", weight.dtype.cudaName)], on: weight.gpu)
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
    let (rows, blas) = (x.shape.rows, x.gpu.blas)
    let plain = dropped.map { _ in x.fresh(rows, outputs) }
    let u = adapted(dropped ?? x, h, plain: plain)
    let direct = dropped.map { _ in x.fresh(rows, outputs) }
    if let direct { blas.multiply(x.matrix, weight.transposedMatrix, into: direct.matrix, m: rows, n: outputs, k: inputs) }
    let bias = bias?.cast(to: x.dtype, part: .workspace)
    kernelCalled("dora_output").launch(
      grid: blocks(y.count), block: (256, 1, 1), y.address, u.address, direct.addressOrNull, plain.addressOrNull,
      bias.addressOrNull, residual.addressOrNull, magnitude.address, norms.address, Int64(rows), Int32(outputs))
  }

  /// `(ratio − minus) · dy`
  private func scaled(_ dy: Tensor, minus: Float) -> Tensor {
    let result = dy.fresh(dy.shape.rows, outputs)
    kernelCalled("dora_gradient").launch(
      grid: blocks(dy.count), block: (256, 1, 1), result.address, dy.address, magnitude.address, norms.address, minus,
      Int64(dy.shape.rows), Int32(outputs))
    return result
  }

  func backward(_ dy: Tensor, dropped: Tensor?, h: Tensor, dx: Tensor?, accumulate: Bool, gradients: ProjectionGradients) {
    let (rows, blas) = (dy.shape.rows, dy.gpu.blas)
    if let target = gradients.magnitude, let dropped {
      let u = adapted(dropped, h)
      kernelCalled("dora_magnitude_gradient").launch(
        grid: ((outputs + 31) / 32, 1, 1), block: (256, 1, 1), target.address, dy.address, u.address, norms.address, Int64(rows),
        Int32(outputs))
    }
    let scaled = scaled(dy, minus: 0)
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
    blas.multiply(self.scaled(dy, minus: 1).matrix, weight.matrix, into: through.matrix, m: rows, n: inputs, k: outputs, beta: 1)
    dropout.apply(through, to: dx, accumulate: true)
  }
}

extension KernelVariants {
  static let dora = [
    KernelVariant(
      "DoRA.cu", ["row_norms", "dora_output", "dora_gradient", "dora_magnitude_gradient"],
      [[KernelDefine("T", "bf16")], [KernelDefine("T", "half16")], [KernelDefine("T", "float32")]])
  ]
}
