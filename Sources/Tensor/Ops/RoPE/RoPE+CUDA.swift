import SwiftletCUDA
import SwiftletTensorCore

extension RoPEForm {
  /// `turn` on a GPU.
  func turnOnGPU(_ x: consuming Tensor, _ cos: Tensor, _ sin: Tensor, sign: Float) -> Tensor {
    let target = x.target()
    let columns = heads * headDimension
    turn(
      DeviceRows(x.address, stride: columns), into: DeviceRows(target.address, stride: columns), x.dtype, cos, sin, sign: sign, on: x.gpu)
    keepAlive(x)
    return target
  }

  /// Turns the heads in each row of `from`, whose rows may lie further apart, for example in one matrix with queries and values. `into` may
  /// be the same.
  func turn(
    _ from: DeviceRows, into: DeviceRows, _ dtype: DType, _ cos: Tensor, _ sin: Tensor, sign: Float, on device: CUDADevice
  ) {
    precondition(cos.dtype == .float32 && sin.dtype == .float32 && cos.device.isCUDA, "rotary tables \(cos.dtype) on \(cos.device)")
    // The last pair's neighbour must lie in the same vector.
    precondition(!interleaved || headDimension % 2 == 0, "interleaved RoPE over heads of \(headDimension) features")
    let counts = [interleaved ? 2 * half : half, headDimension, from.stride, into.stride]
    let width = vectorWidth([(from.address, dtype), (into.address, dtype)], dividing: counts)
    let pairs = interleaved ? width / 2 : width
    precondition(pairs > 0, "interleaved RoPE wants pairs that are aligned, strides \(from.stride), \(into.stride)")
    let across = min(max(half / pairs, 1), 256)
    var lanes = 1
    while lanes < min((heads + 1) / 2, 16), lanes * 2 * across <= 256 { lanes *= 2 }
    let tokens = min(max(256 / (across * lanes), 1), 64)
    let defines = [
      KernelDefine("T", dtype.cudaName), KernelDefine("WIDTH", width), KernelDefine("INTERLEAVED", interleaved ? 1 : 0),
    ]
    kernel("RoPE.cu", "rope", defines, on: device).launch(
      grid: grid(rows, each: tokens), block: (across, lanes, tokens), into.address, from.address, cos.address, sin.address, sign,
      Int64(rows), Int32(heads), Int32(headDimension), Int32(half), Int64(into.stride), Int64(from.stride))
  }
}
