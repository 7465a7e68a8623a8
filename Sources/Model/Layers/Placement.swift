import SwiftletOps
import SwiftletTensorCore

/// Where a model's numbers go while it is made, and in which form: one parameter after the other, so that a large model never lies in memory
/// twice.
public struct Placement: Hashable, Sendable {
  /// Where the parameters lie and passes compute.
  public var device = Device.cpu
  /// The format of activations: float32 on the CPU; bfloat16, float16 or float32 on a GPU.
  public var computeType = DType.float32
  /// How the matrices of linear layers are coded; nil keeps them dense. Head, embedding, norms and routers always stay dense.
  public var quantization: QuantizationFormat?
  /// Whether the scales of 4-bit blocks are themselves coded in 8 bits.
  public var doubleQuantizes = true
  /// Whether random weights are drawn on the GPU, fast and with other numbers than the CPU draws: for measuring.
  public var drawsOnDevice = false

  /// The CPU, float32, dense.
  public init() {}

  /// A device with its usual compute format: bfloat16 on a GPU.
  public init(_ device: Device, computing computeType: DType? = nil, quantization: QuantizationFormat? = nil) {
    self.device = device
    self.computeType = device == .cpu ? .float32 : computeType ?? .bfloat16
    self.quantization = quantization
  }

  /// Whether the matrix of the linear layer at `path` is quantised.
  public func quantizes(_ path: String) -> Bool {
    let name = path.split(separator: ".").last ?? ""
    return quantization != nil && !["lm_head", "router", "gate"].contains(name)
  }

  /// Puts a parameter where it belongs.
  func place(_ parameter: Parameter, quantizing: Bool) {
    guard parameter.isMaterialized else { return }
    if quantizing, let quantization, parameter.quantized == nil {
      // Moved first: a GPU quantises faster than the host, and needs room for one matrix only.
      let dense = parameter.value.device == device ? parameter.value : parameter.value.moved(to: device, part: .workspace)
      parameter.store(QuantizedMatrix(quantizing: dense, quantization, doubleQuantized: doubleQuantizes))
    }
    parameter.move(to: device, computing: computeType)
  }
}
