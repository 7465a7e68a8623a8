import SwiftletCUDA
import SwiftletTensorCore

/// The gate where adapters with a magnitude (DoRA) sit below it: gate and up come without their factors, which the passes apply on their way.
extension GateOnGPU {
  /// What a pass does to gate or up before it reads them: times DoRA's factor, plus a bias [columns] in the format of the rows.
  struct Adjustment {
    let scale: MagnitudeScale?
    let bias: Tensor?
  }

  /// The activation joined with its gate, gate and up adjusted.
  func forward(gate: DeviceRows, up: DeviceRows, _ gateAdjustment: Adjustment, _ upAdjustment: Adjustment, into h: DeviceRows) {
    if rows == 0 { return }
    let pass = pass([h, gate, up])
    let (ofGate, ofUp) = (gateAdjustment, upAdjustment)
    kernel("GatedActivation.cu", "gate_forward_scaled", pass.defines + activation.defines, on: device).launch(
      grid: pass.grid, block: (ColumnPass.threads, 1, 1), h.address, gate.address, up.address, (ofGate.scale?.magnitude).addressOrNull,
      (ofGate.scale?.norms).addressOrNull, (ofUp.scale?.magnitude).addressOrNull, (ofUp.scale?.norms).addressOrNull,
      ofGate.bias.addressOrNull, ofUp.bias.addressOrNull, Int64(rows), UInt32(columns), Int64(h.stride), Int64(gate.stride),
      Int64(up.stride), UInt32(pass.blockRows))
  }

  /// Over gate, up and the gradient `dh`: the gradients of gate and up before their factors, and the activation's output. What the magnitudes'
  /// gradients are is added to `gateMagnitude` and `upMagnitude` [columns] where they are wanted.
  func backward(
    gate: DeviceRows, up: DeviceRows, dh: DeviceRows, _ gateAdjustment: Adjustment, _ upAdjustment: Adjustment,
    addingTo gateMagnitude: Tensor?, _ upMagnitude: Tensor?, on place: Device
  ) {
    if rows == 0 { return }
    let pass = pass([gate, up, dh])
    let (ofGate, ofUp) = (gateAdjustment, upAdjustment)
    let (gateSums, upSums) = (gateMagnitude.map { _ in pass.sums(on: place) }, upMagnitude.map { _ in pass.sums(on: place) })
    kernel("GatedActivation.cu", "gate_backward_scaled", pass.defines + activation.defines, on: device).launch(
      grid: pass.grid, block: (ColumnPass.threads, 1, 1), gate.address, up.address, dh.address, gateSums.addressOrNull,
      upSums.addressOrNull, (ofGate.scale?.magnitude).addressOrNull, (ofGate.scale?.norms).addressOrNull,
      (ofUp.scale?.magnitude).addressOrNull, (ofUp.scale?.norms).addressOrNull, ofGate.bias.addressOrNull, ofUp.bias.addressOrNull,
      Int64(rows), UInt32(columns), Int64(gate.stride), Int64(up.stride), Int64(dh.stride), UInt32(pass.blockRows))
    if let gateSums, let gateMagnitude { pass.add(gateSums, to: gateMagnitude) }
    if let upSums, let upMagnitude { pass.add(upSums, to: upMagnitude) }
  }

  private func pass(_ operands: [DeviceRows]) -> ColumnPass {
    ColumnPass(rows: rows, columns: columns, strides: operands.map(\.stride), operands.map(\.address), dtype)
  }
}
