import SwiftletCUDA
import SwiftletTensorCore

/// A gated activation over matrices on a GPU whose rows may be padded.
struct GateOnGPU {
  let activation: GateActivation
  let rows: Int
  let columns: Int
  let dtype: DType
  let device: CUDADevice

  /// The activation joined with its gate.
  func forward(gate: DeviceRows, up: DeviceRows, into h: DeviceRows) {
    let (shape, strides, width) = pass([h, gate, up])
    let vectors = rows * columns / width
    kernel("GatedActivation.cu", "gate_forward", defines(width), on: device).launch(
      grid: grid(vectors, each: 256), block: (256, 1, 1), h.address, gate.address, up.address, Int64(shape.rows), UInt32(shape.columns),
      strides[0], strides[1], strides[2])
  }

  /// Both inputs' gradients from `dh`, and once more `h` where wanted. `gateGradient` may be `gate`, `upGradient` may be `up`, `h` may be `dh`.
  func backward(
    gate: DeviceRows, up: DeviceRows, dh: DeviceRows, gateGradient: DeviceRows, upGradient: DeviceRows, h: DeviceRows? = nil
  ) {
    // A result that is not wanted takes no part in the choice of vectors.
    let (shape, strides, width) = pass([gateGradient, upGradient, h ?? dh, dh, gate, up])
    kernel("GatedActivation.cu", "gate_backward", defines(width), on: device).launch(
      grid: grid(rows * columns / width, each: 256), block: (256, 1, 1), gateGradient.address, upGradient.address, h?.address ?? .null,
      dh.address, gate.address, up.address, Int64(shape.rows), UInt32(shape.columns), strides[0], strides[1], strides[2], strides[3],
      strides[4], strides[5])
  }

  private func pass(_ operands: [DeviceRows]) -> (shape: (rows: Int, columns: Int), strides: [Int64], width: Int) {
    let flat = flattened(rows: rows, columns: columns, strides: operands.map(\.stride))
    let strides = flat.isFlat ? operands.map { _ in flat.columns } : operands.map(\.stride)
    let width = vectorWidth(operands.map { ($0.address, dtype) }, dividing: [flat.columns] + strides)
    precondition(rows * columns / width <= Int(UInt32.max), "\(rows) × \(columns) elements are too many for one pass")
    return ((flat.rows, flat.columns), strides.map(Int64.init), width)
  }

  private func defines(_ width: Int) -> [KernelDefine] {
    [KernelDefine("T", dtype.cudaName), KernelDefine("WIDTH", width)] + activation.defines
  }
}

extension GateActivation {
  /// How the kernels are told.
  var defines: [KernelDefine] {
    switch self {
    case .silu: [KernelDefine("ACTIVATION", 0)]
    case .gelu(let kind): [KernelDefine("ACTIVATION", kind == .tanh ? 1 : 2)]
    case .clampedSwish(let alpha, let limit):
      [KernelDefine("ACTIVATION", 3), KernelDefine("ALPHA", Self.bits(alpha)), KernelDefine("LIMIT", Self.bits(limit))]
    }
  }

  // Every bit of a float32, which decimals could lose.
  private static func bits(_ x: Float) -> Int { Int(x.bitPattern) }

  /// `gate` on a GPU.
  func gateOnGPU(_ gate: Tensor, _ up: Tensor) -> Tensor {
    let output = Tensor(uninitialized: gate.shape, gate.dtype, on: gate.device)
    pass(gate).forward(gate: DeviceRows(gate), up: DeviceRows(up), into: DeviceRows(output))
    return output
  }

  /// Gradients of both inputs on a GPU, over the inputs where they are owned alone.
  func backwardOnGPU(_ gate: consuming Tensor, _ up: consuming Tensor, _ dy: Tensor) -> [Tensor?] {
    let columns = gate.shape.columns
    let (from, other) = (DeviceRows(gate.address, stride: columns), DeviceRows(up.address, stride: columns))
    let pass = pass(gate)
    let (gateGradient, upGradient) = (gate.target(), up.target())
    pass.backward(
      gate: from, up: other, dh: DeviceRows(dy), gateGradient: DeviceRows(gateGradient), upGradient: DeviceRows(upGradient))
    keepAlive(gate, up)
    return [gateGradient, upGradient]
  }

  private func pass(_ gate: Tensor) -> GateOnGPU {
    GateOnGPU(activation: self, rows: gate.shape.rows, columns: gate.shape.columns, dtype: gate.dtype, device: gate.gpu)
  }
}
