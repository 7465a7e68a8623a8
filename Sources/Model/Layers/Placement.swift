import SwiftletOps
import SwiftletTensorCore

/// Where a model's numbers go while it is made, and in which form: one parameter after the other, so that a large model never lies in memory
/// twice.
public struct Placement: Hashable, Sendable {
  /// Where the parameters lie and passes compute.
  public var device = Device.cpu
  /// The format of activations: float32 on the CPU; bfloat16, float16 or float32 on a GPU, where routers compute in float32 all the same.
  public var computeType = DType.float32
  /// How the matrices of linear layers are coded; nil keeps them as they are stored. Head, embedding, norms and routers are not coded by it.
  public var quantization: QuantizationFormat?
  /// Whether the scales of 4-bit blocks are themselves coded in 8 bits.
  public var doubleQuantizes = true
  /// Which linear layers stay in 16 bits where others are coded in 4, and how those are; nil where nobody has chosen. Only numbers in host
  /// memory are coded by it.
  public var fourBit: FourBitScheme?
  /// How the matrix of the language-model head is coded; nil keeps it dense.
  public var headQuantization: QuantizationFormat?
  /// Whether the token table stays in pinned host memory, from which a GPU gathers rows. A table that is the head's
  /// too goes there only where the head is quantised, and then has a copy of its own.
  public var keepsEmbeddingOnHost = false
  /// How a checkpoint codes its matrices, by name, where drawn numbers stand in for it: what a plan is made of.
  public var codedFormats: [String: QuantizationFormat] = [:]
  /// The formats of a checkpoint's vectors, by name, which stay on a GPU: as `codedFormats`.
  public var vectorTypes: [String: DType] = [:]
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

  /// The same with 4 bits by this scheme; nil leaves it open.
  package func coding(by scheme: FourBitScheme?) -> Placement {
    var placement = self
    placement.fourBit = scheme
    return placement
  }

  /// How the matrix of the linear layer at `path` is coded; nil for dense.
  public func quantization(of path: String) -> QuantizationFormat? {
    if Self.isHead(path) { return headQuantization }
    return Self.isRouter(path) || isKept(path) ? nil : quantization
  }

  private static func isHead(_ path: String) -> Bool { path.split(separator: ".").last == "lm_head" }

  /// Whether the linear layer at `path` stays in 16 bits.
  private func isKept(_ path: String) -> Bool { fourBit?.keeps(path) ?? false }

  /// The format in which the module at `path` computes: routers in float32 everywhere, because a choice among nearly equal experts hangs on
  /// the last bits of their scores.
  package func computeType(of path: String) -> DType { Self.isRouter(path) ? .float32 : computeType }

  /// Whether the module at `path` chooses experts.
  package static func isRouter(_ path: String) -> Bool { ["router", "gate"].contains(path.split(separator: ".").last ?? "") }

  /// How the matrix `name` of the linear layer at `path` is coded once it is made. What is stored in no more bits than asked for stays;
  /// blocks are never made, only read or stood for.
  func quantization(of path: String, named name: String) -> QuantizationFormat? {
    let asked = quantization(of: path)
    guard let stored = codedFormats[name], !stored.isBlocks, asked?.isFourBit != true || stored.isFourBit else { return asked }
    return stored
  }

  /// Blocks that stand for those of the checkpoint's matrix `name`; nil where it has none of that shape.
  func standing(_ name: String, _ shape: Shape) -> QuantizedMatrix? {
    codedFormats[name].flatMap { QuantizedMatrix(standingFor: $0, shape, on: device) }
  }

  /// The quantised copy of a tied table that the head reads where the table goes to the host; nil where both stay one.
  func headCopy(of table: Parameter) -> QuantizedMatrix? {
    guard keepsEmbeddingOnHost, let headQuantization, device.isCUDA, table.isMaterialized else { return nil }
    let numbers = table.quantized?.dequantized(computeType) ?? table.value
    return QuantizedMatrix(quantizing: numbers, headQuantization, doubleQuantized: doubleQuantizes)
  }

  private func coded(_ value: Tensor, _ format: QuantizationFormat, _ path: String, _ name: String) -> QuantizedMatrix {
    if let fourBit, format == .nf4, !Self.isHead(path), value.device == .cpu {
      return QuantizedMatrix(searchingScales: value, inputSquares: fourBit.inputSquares[name])
    }
    // Moved first: a GPU quantises faster than the host, and needs room for one matrix only.
    let dense = value.device == device ? value : value.moved(to: device, part: .workspace)
    return QuantizedMatrix(quantizing: dense, format, doubleQuantized: doubleQuantizes)
  }

  /// Puts a parameter where it belongs.
  func place(_ parameter: Parameter, _ quantization: QuantizationFormat?) {
    guard parameter.isMaterialized else { return }
    let path = parameter.name.split(separator: ".").dropLast().joined(separator: ".")
    if let quantization, parameter.quantized == nil {
      parameter.store(coded(parameter.value, quantization, path, parameter.name))
    } else if isKept(path), parameter.shape.rank > 1, parameter.dtype == .float32, parameter.device == .cpu {
      parameter.start(at: parameter.value.converted(to: .bfloat16))
    }
    parameter.move(to: device, computing: computeType(of: path))
  }
}
