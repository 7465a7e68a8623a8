import SwiftletCUDA
import SwiftletTensorCore

/// DoRA's factor for each output on a GPU, `magnitude / ‖W + s·B·A‖` (Liu et al., 2024), and what follows from it: with the outputs `u` of the
/// map without it `y = factor · u`, the map's own gradient is `factor · dy`, the magnitude's `Σ dy · u / norm` over the tokens. The norm
/// carries no gradient, as in PEFT.
struct MagnitudeScale {
  /// float32 [out].
  let magnitude: Tensor
  /// float32 [out]: the lengths of the adapted weight's rows.
  let norms: Tensor

  /// Computes the norms in the format of `x`; costs one pass over the dense weight and the product B·A.
  init(_ weight: LinearWeight, _ lora: LoRAOperands, _ magnitude: Tensor, like x: Tensor) {
    precondition(magnitude.dtype == .float32, "a DoRA magnitude is float32, not \(magnitude.dtype)")
    self.magnitude = magnitude
    let sum = x.fresh(weight.outputs, weight.inputs)
    weight.write(into: sum)
    x.gpu.blas.multiply(
      lora.b.matrix, lora.a.matrix, into: sum.matrix, m: weight.outputs, n: weight.inputs, k: lora.rank, alpha: lora.scale, beta: 1)
    norms = Tensor(uninitialized: [weight.outputs], part: .activations, on: x.device)
    kernel("DoRA.cu", "row_norms", [KernelDefine("T", x.dtype.cudaName)], on: x.gpu)
      .launch(grid: (weight.outputs, 1, 1), block: (256, 1, 1), norms.address, sum.address, Int32(weight.inputs))
    keepAlive(sum)
  }

  /// The factors again from what a node has saved.
  init(magnitude: Tensor, norms: Tensor) { (self.magnitude, self.norms) = (magnitude, norms) }

  private var columns: Int { norms.count }

  /// `y = factor · u (+ x − d) (+ bias) (+ residual)`.
  /// - Parameters:
  ///   - u: [rows, out].
  ///   - x: has the rows, the format and the GPU of `u`.
  ///   - y: [rows, out], may be `u`.
  ///   - direct: with dropout, the products with the input and with the dropped input.
  ///   - bias: [out] in the format of `u`.
  func output(
    _ u: DevicePointer, like x: Tensor, into y: DevicePointer, direct: (x: Tensor, d: Tensor)? = nil, bias: Tensor? = nil,
    residual: Tensor? = nil
  ) {
    let rows = x.shape.rows
    if rows == 0 { return }
    let others = [direct?.x, direct?.d, bias, residual].compactMap { $0?.address }
    let pass = ColumnPass(rows: rows, columns: columns, [u, y] + others, x.dtype)
    kernel("DoRA.cu", "dora_output", pass.defines, on: x.gpu).launch(
      grid: pass.grid, block: (ColumnPass.threads, 1, 1), y, u, (direct?.x).addressOrNull, (direct?.d).addressOrNull, bias.addressOrNull,
      residual.addressOrNull, magnitude.address, norms.address, Int64(rows), UInt32(columns), UInt32(pass.blockRows))
  }

  /// `y = (factor − minus) · dy`; where `target` is given, the magnitude's gradient from `u` is added to it.
  /// - Parameters:
  ///   - dy: [rows, out].
  ///   - y: as many rows, which may be those of `dy`.
  func gradient(_ dy: Tensor, into y: DeviceRows, minus: Float = 0, u: Tensor? = nil, addingTo target: Tensor? = nil) {
    if dy.count == 0 { return }
    let u = target == nil ? nil : u
    let pass = ColumnPass(
      rows: dy.shape.rows, columns: columns, strides: [y.stride], [dy.address, y.address] + (u.map { [$0.address] } ?? []), dy.dtype)
    let sums = u.map { _ in pass.sums(on: dy.device) }
    kernel("DoRA.cu", "dora_gradient", pass.defines, on: dy.gpu).launch(
      grid: pass.grid, block: (ColumnPass.threads, 1, 1), y.address, sums.addressOrNull, dy.address, u.addressOrNull, magnitude.address,
      norms.address, minus, Int64(pass.rows), UInt32(columns), Int64(y.stride), UInt32(pass.blockRows))
    if let sums, let target { pass.add(sums, to: target) }
  }
}

extension KernelVariants {
  static let dora = [
    KernelVariant("DoRA.cu", ["row_norms", "dora_output", "dora_gradient"], ColumnPass.formats)
  ]
}
