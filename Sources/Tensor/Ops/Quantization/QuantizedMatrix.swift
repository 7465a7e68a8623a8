import SwiftletCPU
import SwiftletTensorCore

/// A frozen matrix in few bits: codes, their scales, and how to read them. A value made of tensors, on one device.
///
/// The layouts are those of bitsandbytes, of FP8 checkpoints and of GGUF files, so that their files are taken as they are.
public struct QuantizedMatrix {
  /// [out, in].
  public let shape: Shape
  /// How the numbers are coded.
  public let format: QuantizationFormat
  /// 4-bit: uint8 [⌈out·in / 2⌉], the even element in the high half of a byte. int8: int8 [out, in]. fp8: uint8 [out, in].
  /// Blocks: uint8 [out, bytes of a row].
  public let codes: Tensor
  /// What codes are multiplied with.
  public let scales: Scales
  /// 4-bit: elements, counted row after row through the whole matrix, that share a scale; 0 otherwise.
  public let blockSize: Int
  /// 4-bit: float32 [16], what each code stands for.
  public let codebook: Tensor?

  /// What codes are multiplied with.
  public enum Scales {
    /// float32. 4-bit: [blocks], the largest magnitude of each; int8 and fp8: [out]; fp8 blocks: [⌈out/128⌉, ⌈in/128⌉].
    case plain(Tensor)
    /// 4-bit scales in 8 bits (double quantisation): scale i is `map[codes[i]] · absmax[i / 256] + offset`.
    /// - Parameters:
    ///   - codes: uint8 [blocks]
    ///   - absmax: float32 [⌈blocks / 256⌉]
    ///   - map: float32 [256]
    ///   - offset: float32 [1]
    case coded(codes: Tensor, absmax: Tensor, map: Tensor, offset: Tensor)
    /// Blocks hold their own.
    case amongCodes

    /// The tensors, in the order of the case.
    public var tensors: [Tensor] {
      switch self {
      case .plain(let scales): [scales]
      case .coded(let codes, let absmax, let map, let offset): [codes, absmax, map, offset]
      case .amongCodes: []
      }
    }
  }

  /// Scales that share one scale of their own.
  public static let nestedBlockSize = 256

  /// Takes codes and scales as they stand in a checkpoint.
  /// - Precondition: sizes fit the shape, and all tensors are on one device.
  public init(shape: Shape, format: QuantizationFormat, codes: Tensor, scales: Scales, blockSize: Int = 64, codebook: Tensor? = nil) {
    precondition(shape.rank == 2, "a matrix [out, in] is wanted, not \(shape)")
    self.shape = shape
    self.format = format
    self.codes = codes
    self.scales = scales
    self.blockSize = format.isFourBit ? blockSize : 0
    self.codebook = format.isFourBit ? codebook ?? format.codebook.map { Tensor($0, [16], part: .weights) } : nil
    check()
  }

  /// A matrix of zeros in blocks that stands for one of a file in a plan; nil where the format is not blocks, or rows are no whole ones.
  package init?(standingFor format: QuantizationFormat, _ shape: Shape, on device: Device) {
    guard case .blocks(let type) = format, let numbers = BlockCodec.numbers(type), shape.rank == 2, shape[1] % numbers == 0 else {
      return nil
    }
    let codes = Tensor(zeros: [shape[0], BlockCodec.byteCount(type, numbers: shape[1])], .uint8, part: .weights, on: device)
    self.init(shape: shape, format: format, codes: codes, scales: .amongCodes)
  }

  /// Rows: features that come out.
  public var outputs: Int { shape[0] }
  /// Columns: features that go in.
  public var inputs: Int { shape[1] }
  /// All bytes that the matrix holds.
  public var byteCount: Int { tensors.reduce(0) { $0 + $1.byteCount } }
  /// All tensors: codes, scales, codebook.
  public var tensors: [Tensor] { [codes] + scales.tensors + [codebook].compactMap { $0 } }

  /// The same matrix made of other tensors in the order of `tensors`: moved to another device, or put together again by a backward rule.
  public func with(_ tensors: some Collection<Tensor>) -> QuantizedMatrix {
    precondition(tensors.count == self.tensors.count, "\(tensors.count) tensors for a matrix of \(self.tensors.count)")
    let t = Array(tensors)
    let scales: Scales =
      switch scales {
      case .plain: .plain(t[1])
      case .coded: .coded(codes: t[1], absmax: t[2], map: t[3], offset: t[4])
      case .amongCodes: .amongCodes
      }
    return QuantizedMatrix(
      shape: shape, format: format, codes: t[0], scales: scales, blockSize: blockSize, codebook: codebook == nil ? nil : t[t.count - 1])
  }

  /// Number of scales.
  var scaleCount: Int {
    switch format {
    case .nf4, .fp4: (shape.count + blockSize - 1) / blockSize
    case .int8, .fp8: outputs
    case .fp8Blocks: ((outputs + 127) / 128) * ((inputs + 127) / 128)
    case .blocks: 0
    }
  }

  private func check() {
    if case .blocks(let type) = format { return checkBlocks(type) }
    let bytes = format.isFourBit ? (shape.count + 1) / 2 : shape.count
    precondition(codes.byteCount == bytes, "\(format) codes \(codes.shape) \(codes.dtype) for a matrix \(shape): \(bytes) bytes are wanted")
    if format.isFourBit {
      precondition(Self.blockSizes.contains(blockSize), "a block of \(blockSize): 32, 64 … 4096 are possible")
      precondition(codebook?.count == 16, "a 4-bit code has 16 numbers")
    }
    switch scales {
    case .plain(let scales):
      precondition(scales.dtype == .float32 && scales.count == scaleCount, "scales \(scales.shape) \(scales.dtype), \(scaleCount) wanted")
    case .coded(let codes, let absmax, let map, let offset):
      precondition(format.isFourBit, "coded scales belong to 4-bit matrices, not to \(format)")
      let nested = (scaleCount + Self.nestedBlockSize - 1) / Self.nestedBlockSize
      precondition(
        codes.dtype == .uint8 && codes.count == scaleCount && absmax.count == nested && map.count == 256 && offset.count == 1,
        "coded scales \(codes.shape), absmax \(absmax.shape), map \(map.shape), offset \(offset.shape) for \(scaleCount) blocks")
    case .amongCodes: preconditionFailure("\(format) wants scales beside its codes")
    }
  }

  private func checkBlocks(_ type: UInt32) {
    guard case .amongCodes = scales, let numbers = BlockCodec.numbers(type) else {
      preconditionFailure("block format \(type) is unknown, or has scales beside its codes")
    }
    precondition(inputs % numbers == 0, "rows of \(inputs) numbers are no whole blocks of \(numbers)")
    precondition(
      codes.dtype == .uint8 && codes.byteCount == Self.byteCount(shape, format), "codes \(codes.shape) \(codes.dtype) for a matrix \(shape)"
    )
  }

  /// The block sizes that kernels know.
  public static let blockSizes: Set<Int> = [32, 64, 128, 256, 512, 1024, 2048, 4096]

  /// Bytes of a matrix in a format: what the memory plan counts.
  public static func byteCount(_ shape: Shape, _ format: QuantizationFormat, blockSize: Int = 64, doubleQuantized: Bool = true) -> Int {
    let (rows, columns) = (shape[0], shape[1])
    switch format {
    case .nf4, .fp4:
      let blocks = (shape.count + blockSize - 1) / blockSize
      let scales = doubleQuantized ? blocks + 4 * ((blocks + nestedBlockSize - 1) / nestedBlockSize) + 1024 + 4 : 4 * blocks
      return (shape.count + 1) / 2 + scales + 64
    case .int8, .fp8: return shape.count + 4 * rows
    case .fp8Blocks: return shape.count + 4 * ((rows + 127) / 128) * ((columns + 127) / 128)
    case .blocks(let type): return rows * BlockCodec.byteCount(type, numbers: columns)
    }
  }
}
