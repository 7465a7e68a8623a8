import SwiftletCUDA
import SwiftletTensorCore

extension LayerNormForm {
  /// `forward` on a GPU.
  func forwardOnGPU(_ x: Tensor, _ weight: Tensor?, _ bias: Tensor?) -> Tensor {
    let y = Tensor(uninitialized: x.shape, x.dtype, on: x.device)
    let parameters = inOneFormat(weight, bias)
    let plan = plan(x, parameters, [y.address])
    kernel("LayerNorm.cu", "layer_norm_forward", defines(plan, x, parameters), on: x.gpu).launch(
      grid: plan.grid(rows), block: (plan.threads, 1, 1), y.address, x.address, parameters.weight?.address ?? .null,
      parameters.bias?.address ?? .null, epsilon, Int64(rows))
    keepAlive(parameters.weight, parameters.bias)
    return y
  }

  /// All gradients on a GPU: the input's in the memory of what has arrived for it, else in that of `gradient` where it is owned alone; those
  /// of the parameters in float32.
  func backwardOnGPU(
    _ gradient: consuming Tensor, hasWeight: Bool, hasBias: Bool, _ context: inout BackwardContext
  ) -> [Tensor?] {
    let (x, weight, dy) = (context.saved[0], hasWeight ? context.saved[1] : nil, gradient.address)
    let sums = (1..<context.needs.count).map { index in
      context.needs[index] ? context.destination(index, [columns], part: .gradients, on: x.device) : nil
    }
    var input: (tensor: Tensor, accumulate: Bool)?
    if context.needs[0] {
      input = context.hasArrived(0) ? context.destination(0, x.shape, x.dtype, on: x.device) : (gradient.target(), false)
    }
    if rows > 0 {
      launchBackward(x, weight, dy, into: input, weightSum: hasWeight ? sums[0] : nil, biasSum: hasBias ? sums[sums.count - 1] : nil)
    } else {
      for case let sum? in sums where !sum.accumulate { sum.tensor.fillZero() }
    }
    keepAlive(gradient)
    return [input?.tensor] + sums.map { $0?.tensor }
  }

  private func launchBackward(
    _ x: Tensor, _ weight: Tensor?, _ dy: DevicePointer, into input: (tensor: Tensor, accumulate: Bool)?,
    weightSum: (tensor: Tensor, accumulate: Bool)?, biasSum: (tensor: Tensor, accumulate: Bool)?
  ) {
    let dx = input?.tensor.address ?? .null
    let accumulate = input?.accumulate ?? false
    let plan = plan(x, (weight, nil), [dy, dx])
    let blocks = plan.partialBlocks(rows)
    let wantsSums = weightSum != nil || biasSum != nil
    let partials = wantsSums ? Tensor(uninitialized: [2, blocks, columns], part: .workspace, on: x.device) : nil
    let choices = [KernelDefine("ARRIVED", accumulate ? 1 : 0), KernelDefine("PARAMETERS", wantsSums ? 1 : 0)]
    kernel("LayerNorm.cu", "layer_norm_backward", defines(plan, x, (weight, nil)) + choices, on: x.gpu).launch(
      grid: wantsSums ? (blocks, 1, 1) : plan.grid(rows), block: (plan.threads, 1, 1), dx, dy, x.address, weight?.address ?? .null,
      accumulate ? dx : .null, partials?.address ?? .null, epsilon, Int64(rows))
    if let partials {
      let (first, second) = (partials.address, partials.address + blocks * columns * 4)
      if let weightSum { addPartials(first, blocks: blocks, into: weightSum.tensor, accumulate: weightSum.accumulate) }
      if let biasSum { addPartials(second, blocks: blocks, into: biasSum.tensor, accumulate: biasSum.accumulate) }
    }
    keepAlive(partials)
  }

  /// Weight and bias in the format of the weight: the kernel has one for both.
  private func inOneFormat(_ weight: Tensor?, _ bias: Tensor?) -> (weight: Tensor?, bias: Tensor?) {
    guard let weight, let bias, weight.dtype != bias.dtype else { return (weight, bias) }
    return (weight.cast(to: .float32, part: .workspace), bias.cast(to: .float32, part: .workspace))
  }

  private func plan(_ x: Tensor, _ parameters: (weight: Tensor?, bias: Tensor?), _ others: [DevicePointer]) -> RowPlan {
    let tensors = [parameters.weight, parameters.bias].compactMap { $0 }
    for tensor in tensors {
      precondition(
        tensor.device == x.device && tensor.dtype.isFloat, "LayerNorm parameter \(tensor.dtype) on \(tensor.device), input on \(x.device)")
    }
    return RowPlan(
      columns: columns, dtype: x.dtype, [(x.address, x.dtype)] + tensors.map { ($0.address, $0.dtype) } + others.map { ($0, x.dtype) })
  }

  private func defines(_ plan: RowPlan, _ x: Tensor, _ parameters: (weight: Tensor?, bias: Tensor?)) -> [KernelDefine] {
    let format = (parameters.weight ?? parameters.bias)?.dtype ?? x.dtype
    return [KernelDefine("T", x.dtype.cudaName), KernelDefine("W", format.cudaName)] + plan.defines
  }
}
