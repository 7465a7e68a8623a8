import SwiftletCUDA
import SwiftletTensorCore

extension RMSNormForm {
  /// `forward` on a GPU.
  func forwardOnGPU(_ x: Tensor, _ weight: Tensor) -> Tensor {
    let y = Tensor(uninitialized: x.shape, x.dtype, on: x.device)
    forwardOnGPU(x, weight, into: DeviceRows(y.address, stride: columns))
    return y
  }

  /// `forward` on a GPU into rows that may be padded.
  func forwardOnGPU(_ x: Tensor, _ weight: Tensor, into y: DeviceRows) {
    if rows == 0 { return }
    let plan = plan(x, weight, [y.address], strides: [y.stride])
    kernel("RMSNorm.cu", "rms_norm_forward", defines(plan, x, weight), on: x.gpu).launch(
      grid: plan.grid(rows), block: (plan.threads, 1, 1), y.address, x.address, weight.address, offset, epsilon, Int64(rows),
      Int64(y.stride))
  }

  /// `dx = arrived + (the input's gradient for dy)` on a GPU; `dx` may be either of them.
  func inputGradientOnGPU(_ x: Tensor, _ weight: Tensor, _ dy: Tensor, arrived: Tensor, into dx: Tensor) {
    if rows == 0 { return }
    let plan = plan(x, weight, [dy.address, dx.address, arrived.address])
    kernel(
      "RMSNorm.cu", "rms_norm_backward", defines(plan, x, weight) + [KernelDefine("ARRIVED", 1), KernelDefine("PARAMETERS", 0)], on: x.gpu
    ).launch(
      grid: plan.grid(rows), block: (plan.threads, 1, 1), dx.address, dy.address, x.address, weight.address, arrived.address,
      DevicePointer.null, offset, epsilon, Int64(rows))
  }

  /// Both gradients on a GPU: the input's in the memory of what has arrived for it, else in that of `gradient` where it is owned alone; the
  /// weight's in float32.
  func backwardOnGPU(_ gradient: consuming Tensor, _ context: inout BackwardContext) -> [Tensor?] {
    let (x, weight, dy) = (context.saved[0], context.saved[1], gradient.address)
    let sum = context.needs[1] ? context.destination(1, weight.shape, part: .gradients, on: x.device) : nil
    var input: (tensor: Tensor, accumulate: Bool)?
    if context.needs[0] {
      input = context.hasArrived(0) ? context.destination(0, x.shape, x.dtype, on: x.device) : (gradient.target(), false)
    }
    if rows > 0 {
      launchBackward(x, weight, dy, into: input, weightSum: sum)
    } else if let sum, !sum.accumulate {
      sum.tensor.fillZero()
    }
    keepAlive(gradient)
    return [input?.tensor, sum?.tensor]
  }

  private func launchBackward(
    _ x: Tensor, _ weight: Tensor, _ dy: DevicePointer, into input: (tensor: Tensor, accumulate: Bool)?,
    weightSum: (tensor: Tensor, accumulate: Bool)?
  ) {
    let dx = input?.tensor.address ?? .null
    let accumulate = input?.accumulate ?? false
    let plan = plan(x, weight, [dy, dx])
    let blocks = plan.partialBlocks(rows)
    let partials = weightSum.map { _ in Tensor(uninitialized: [blocks, columns], part: .workspace, on: x.device) }
    let choices = [KernelDefine("ARRIVED", accumulate ? 1 : 0), KernelDefine("PARAMETERS", partials == nil ? 0 : 1)]
    kernel("RMSNorm.cu", "rms_norm_backward", defines(plan, x, weight) + choices, on: x.gpu).launch(
      grid: partials == nil ? plan.grid(rows) : (blocks, 1, 1), block: (plan.threads, 1, 1), dx, dy, x.address, weight.address,
      accumulate ? dx : .null, partials?.address ?? .null, offset, epsilon, Int64(rows))
    if let partials, let weightSum {
      addPartials(partials.address, blocks: blocks, into: weightSum.tensor, accumulate: weightSum.accumulate)
    }
    keepAlive(partials)
  }

  private func plan(_ x: Tensor, _ weight: Tensor, _ others: [DevicePointer], strides: [Int] = []) -> RowPlan {
    precondition(
      weight.device == x.device && weight.dtype.isFloat, "RMSNorm weight \(weight.dtype) on \(weight.device), input on \(x.device)")
    return RowPlan(
      columns: columns, strides: strides, dtype: x.dtype,
      [(x.address, x.dtype), (weight.address, weight.dtype)] + others.map { ($0, x.dtype) })
  }

  private func defines(_ plan: RowPlan, _ x: Tensor, _ weight: Tensor) -> [KernelDefine] {
    [KernelDefine("T", x.dtype.cudaName), KernelDefine("W", weight.dtype.cudaName)] + plan.defines
  }
}
