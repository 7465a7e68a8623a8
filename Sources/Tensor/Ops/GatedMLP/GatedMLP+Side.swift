import SwiftletCUDA
import SwiftletTensorCore

extension GPUGatedMLP {
  /// A frozen weight with or without an adapter and a frozen bias.
  struct GPUSide {
    let weight: LinearWeight
    let lora: LoRAOperands?
    /// [out] in the compute format.
    let bias: Tensor?
    /// What DoRA multiplies the outputs with.
    private(set) var scale: MagnitudeScale?
    var rank: Int { lora?.rank ?? 0 }
    var inputs: Int { weight.inputs }
    var outputs: Int { weight.outputs }

    init?(_ operands: LinearOperands, like x: Tensor) {
      guard operands.observer == nil, operands.bias?.needsGradient != true, operands.weight.trained?.needsGradient != true else {
        return nil
      }
      if let lora = operands.lora {
        guard lora.magnitude == nil || lora.dropout == nil, lora.rank % 8 == 0, lora.a.dtype == x.dtype, lora.b.dtype == x.dtype
        else { return nil }
      }
      guard operands.weight.inputs % 8 == 0, operands.weight.outputs % 8 == 0 else { return nil }
      weight = operands.weight
      lora = operands.lora
      bias = operands.bias?.cast(to: x.dtype, part: .activations)
    }

    /// The bias where the product with the weight adds it: behind a factor the next pass does.
    var productBias: (DevicePointer, BlasType)? { scale == nil ? bias.map { ($0.address, $0.dtype.blas) } : nil }
    /// What the next pass does to the product.
    var adjustment: GateOnGPU.Adjustment { GateOnGPU.Adjustment(scale: scale, bias: scale == nil ? nil : bias) }

    /// The same with what its magnitude makes of the outputs.
    func withScale(like x: Tensor) -> GPUSide {
      guard let lora, let magnitude = lora.magnitude else { return self }
      var side = self
      side.scale = MagnitudeScale(weight, lora, magnitude, like: x)
      return side
    }

    /// What the adapter is trained by: A, B, the magnitude.
    var parameters: [Tensor] { [lora?.a, lora?.b, lora?.magnitude].compactMap { $0 } }
    /// Whether the magnitude wants a gradient.
    var trainsMagnitude: Bool { lora?.magnitude?.needsGradient ?? false }

    /// Lets `body` queue products with `[W | s·B]` [out, in + rank], or `[s·B | W]`.
    func beside(like x: Tensor, adapterFirst: Bool = false, _ body: (Tensor) -> Void) {
      guard let lora else { return weight.withDense(x.dtype, on: x.device, body) }
      let (width, size) = (inputs + rank, x.dtype.size)
      // One row's adapter more: a view that starts behind the adapter ends behind the last row.
      weight.withNumbers(outputs * width + rank, x.dtype, on: x.device) { storage in
        let first = adapterFirst ? rank * size : 0
        weight.write(into: Tensor(storage, byteOffset: first, shape: [outputs, width], dtype: x.dtype))
      } _: { storage in
        let whole = Tensor(storage, shape: [outputs, width], dtype: x.dtype)
        copyRows(lora.b, columns: rank, into: whole.address + (adapterFirst ? 0 : inputs * size), stride: width, factor: lora.scale)
        body(whole)
      }
    }

    /// Rows of the matrix that `above` gives.
    var height: Int { outputs + (lora?.dropout == nil ? rank : 0) }

    /// Lets `body` queue products with `[W ; A]` [out + rank, in], with `W` alone where the adapter has dropout.
    func above(like x: Tensor, _ body: (Tensor) -> Void) {
      guard let lora, lora.dropout == nil else { return weight.withDense(x.dtype, on: x.device, body) }
      let shape: Shape = [height, inputs]
      weight.withNumbers(shape.count, x.dtype, on: x.device) { storage in
        weight.write(into: Tensor(storage, shape: [outputs, inputs], dtype: x.dtype))
      } _: { storage in
        let whole = Tensor(storage, shape: shape, dtype: x.dtype)
        x.gpu.copy(from: lora.a.address, to: whole.rows(outputs..<outputs + rank).address, bytes: lora.a.byteCount)
        body(whole)
      }
    }

    /// Lets `body` queue products with what the adapter reads of `x`, rows from `first` on of all tokens.
    func read(_ x: DeviceRows, rows: Int, first: Int, like: Tensor, _ body: (BlasMatrix) -> Void) {
      guard let dropout = lora?.dropout else { return body(BlasMatrix(x.address, like.dtype.blas, stride: x.stride)) }
      let dropped = like.fresh(rows, inputs)
      dropout.apply(x, to: DeviceRows(dropped), like.dtype, rows: rows, columns: inputs, first: first * inputs, on: like.gpu)
      body(dropped.matrix)
      keepAlive(dropped)
    }

    /// `dx += drop(dz·A)` where the adapter has dropout; without, it rode in the product with `above`.
    func addThroughAdapter(_ dz: BlasMatrix, rows: Int, first: Int, to dx: Tensor) {
      guard let lora, let dropout = lora.dropout else { return }
      let through = dx.fresh(rows, inputs)
      dx.gpu.blas.multiply(dz, lora.a.matrix, into: through.matrix, m: rows, n: inputs, k: rank)
      dropout.apply(
        DeviceRows(through), to: DeviceRows(dx), dx.dtype, rows: rows, columns: inputs, first: first * inputs, accumulate: true, on: dx.gpu)
      keepAlive(through)
    }
  }
}
