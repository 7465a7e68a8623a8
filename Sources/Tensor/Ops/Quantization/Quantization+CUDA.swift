import SwiftletCUDA
import SwiftletTensorCore

/// Division by a constant in a kernel: n / divisor is the upper word of n · factor, shifted, for n < 2³¹.
struct Divisor {
  let factor: UInt32
  let shift: UInt32

  init(_ divisor: Int) {
    precondition(divisor > 0 && divisor < 1 << 31, "division by \(divisor)")
    let bits = Int.bitWidth - (divisor - 1).leadingZeroBitCount
    (factor, shift) = divisor == 1 ? (0, 0) : (UInt32(((1 << (31 + bits)) + divisor - 1) / divisor), UInt32(bits - 1))
  }
}

private func divided(_ count: Int, _ size: Int) -> Int { (count + size - 1) / size }

extension QuantizedMatrix {
  /// The device that holds the matrix.
  public var device: Device { codes.device }

  /// The matrix on another device; itself where it is there already.
  public func moved(to device: Device) -> QuantizedMatrix {
    device == self.device ? self : with(tensors.map { $0.moved(to: device, part: .weights) })
  }

  // MARK: to numbers

  func dequantizeOnGPU(_ rows: Range<Int>, _ target: Tensor, _ rowScale: Tensor?) {
    precondition(target.device == device, "a matrix on \(device) does not go into memory of \(target.device)")
    if case .blocks(let type) = format { return blocksOnGPU(type, rows, target, rowScale.addressOrNull) }
    let factors = rowScale.map { $0.address + rows.lowerBound * 4 } ?? .null
    // Whole chunks of 8 numbers, rows that begin at 16 bytes.
    let isAligned = inputs % 8 == 0 && target.shape.columns * target.dtype.size % 16 == 0 && target.address.address % 16 == 0
    switch (format.isFourBit, isAligned && rows.count * inputs / 8 < 1 << 31) {
    case (true, true): fourBitChunks(rows, target, factors)
    case (true, false): fourBitNumbers(rows, target, factors)
    case (false, true): byteChunks(rows, target, factors)
    case (false, false): byteNumbers(rows, target, factors)
    }
  }

  private func fourBitChunks(_ rows: Range<Int>, _ target: Tensor, _ factors: DevicePointer) {
    let (chunks, perRow) = (rows.count * inputs / 8, Divisor(inputs / 8))
    let (absmax, codedScales) = scaleAddresses
    let nested = absmax == .null ? 1 : 0
    kernel(
      "Quantization.cu", "dequantize_4bit",
      [KernelDefine("DEQUANTIZE_4BIT", 1), KernelDefine("NESTED", nested), KernelDefine("T", target.dtype.cudaName)], on: target.gpu
    ).launch(
      grid: (divided(chunks, 1024), 1, 1), block: (256, 1, 1), target.address, codes.address + rows.lowerBound * inputs / 2, absmax,
      codedScales[0], codedScales[1], codedScales[2], codedScales[3], codebookAddress, factors, UInt32(chunks),
      UInt32(rows.lowerBound * inputs / 8), UInt32((blockSize / 8).trailingZeroBitCount), UInt32(inputs / 8), perRow.factor, perRow.shift,
      Int64(target.shape.columns))
  }

  private func fourBitNumbers(_ rows: Range<Int>, _ target: Tensor, _ factors: DevicePointer) {
    let (absmax, codedScales) = scaleAddresses
    let count = rows.count * inputs
    kernel(
      "Quantization.cu", "dequantize_4bit_any",
      [KernelDefine("DEQUANTIZE_4BIT", 1), KernelDefine("NESTED", absmax == .null ? 1 : 0), KernelDefine("T", target.dtype.cudaName)],
      on: target.gpu
    ).launch(
      grid: (divided(count, 256), 1, 1), block: (256, 1, 1), target.address, codes.address, absmax, codedScales[0], codedScales[1],
      codedScales[2], codedScales[3], codebookAddress, factors, Int64(count), Int64(rows.lowerBound * inputs),
      UInt32((blockSize / 8).trailingZeroBitCount), UInt32(inputs), Int64(target.shape.columns))
  }

  private var codebookAddress: DevicePointer { codebook?.address ?? .null }

  /// The address of plain scales (null where they are coded), and those of coded ones.
  private var scaleAddresses: (DevicePointer, [DevicePointer]) {
    switch scales {
    case .plain(let scales): (scales.address, [.null, .null, .null, .null])
    case .coded: (.null, scales.tensors.map(\.address))
    case .amongCodes: preconditionFailure("\(format) has no kernel")
    }
  }

  private static func byteDefines(_ format: QuantizationFormat, _ dtype: DType) -> [KernelDefine] {
    let number = format == .int8 ? 0 : format == .fp8 ? 1 : 2
    return [KernelDefine("BYTE_CODES", 1), KernelDefine("FORMAT", number), KernelDefine("T", dtype.cudaName)]
  }

  private func byteChunks(_ rows: Range<Int>, _ target: Tensor, _ factors: DevicePointer) {
    let (chunks, perRow) = (rows.count * inputs / 8, Divisor(inputs / 8))
    kernel("Quantization.cu", "dequantize_bytes", Self.byteDefines(format, target.dtype), on: target.gpu).launch(
      grid: (divided(chunks, 1024), 1, 1), block: (256, 1, 1), target.address, codes.address + rows.lowerBound * inputs,
      scaleAddresses.0, factors, UInt32(chunks), Int64(rows.lowerBound), UInt32(inputs / 8), perRow.factor, perRow.shift,
      Int64(target.shape.columns))
  }

  private func byteNumbers(_ rows: Range<Int>, _ target: Tensor, _ factors: DevicePointer) {
    let count = rows.count * inputs
    kernel("Quantization.cu", "dequantize_bytes_any", Self.byteDefines(format, target.dtype), on: target.gpu).launch(
      grid: (divided(count, 256), 1, 1), block: (256, 1, 1), target.address, codes.address + rows.lowerBound * inputs, scaleAddresses.0,
      factors, Int64(count), Int64(rows.lowerBound), UInt32(inputs), Int64(target.shape.columns))
  }

  // MARK: from numbers

  init(quantizingOnGPU matrix: Tensor, _ format: QuantizationFormat, blockSize: Int, doubleQuantized: Bool) {
    if format.isFourBit {
      self.init(fourBitOnGPU: matrix, format, blockSize, doubleQuantized)
    } else {
      self.init(bytesOnGPU: matrix, format)
    }
  }

  private init(fourBitOnGPU matrix: Tensor, _ format: QuantizationFormat, _ blockSize: Int, _ doubleQuantized: Bool) {
    let (count, device) = (matrix.count, matrix.device)
    precondition(matrix.address.address % 16 == 0, "a matrix to quantise begins at a multiple of 16 bytes")
    let packed = Tensor(uninitialized: [(count + 1) / 2], .uint8, part: .weights, on: device)
    let absmax = Tensor(uninitialized: [divided(count, blockSize)], part: .weights, on: device)
    let thresholds = Tensor(format.encoder.thresholds, [15], part: .workspace, on: device)
    kernel(
      "Quantization.cu", "quantize_4bit",
      [KernelDefine("QUANTIZE_4BIT", 1), KernelDefine("BLOCK", blockSize), KernelDefine("T", matrix.dtype.cudaName)], on: matrix.gpu
    ).launch(
      grid: (divided(count, 4096), 1, 1), block: (512, 1, 1), packed.address, absmax.address, matrix.address, thresholds.address,
      format.encoder.packedRanks, Int64(count))
    self.init(
      shape: matrix.shape, format: format, codes: packed, scales: doubleQuantized ? Scales(codingOnGPU: absmax) : .plain(absmax),
      blockSize: blockSize, codebook: format.codebook.map { Tensor($0, [16], part: .weights, on: device) })
  }

  private init(bytesOnGPU matrix: Tensor, _ format: QuantizationFormat) {
    let (rows, columns) = (matrix.shape[0], matrix.shape[1])
    let codes = Tensor(uninitialized: matrix.shape, format == .int8 ? .int8 : .uint8, part: .weights, on: matrix.device)
    let scales = Tensor(
      uninitialized: format == .fp8Blocks ? [divided(rows, 128), divided(columns, 128)] : [rows], part: .weights, on: matrix.device)
    kernel("Quantization.cu", "quantize_bytes", Self.byteDefines(format, matrix.dtype), on: matrix.gpu).launch(
      grid: (scales.count, 1, 1), block: (256, 1, 1), codes.address, scales.address, matrix.address, Int64(rows), Int64(columns))
    self.init(shape: matrix.shape, format: format, codes: codes, scales: .plain(scales))
  }
}

extension QuantizedMatrix.Scales {
  /// Double quantisation of block scales that lie on a GPU.
  init(codingOnGPU absmax: Tensor) {
    let (blocks, device) = (absmax.count, absmax.device)
    let nested = divided(blocks, QuantizedMatrix.nestedBlockSize)
    let codes = Tensor(uninitialized: [blocks], .uint8, part: .weights, on: device)
    let most = Tensor(uninitialized: [nested], part: .weights, on: device)
    let offset = Tensor(zeros: [1], part: .weights, on: device)
    let sums = Tensor(uninitialized: [nested], .int64, part: .workspace, on: device)
    let steps = Tensor(DynamicMap.signed.codes, [DynamicMap.signed.codes.count], part: .workspace, on: device)
    let defines = [KernelDefine("NESTED_SCALES", 1)]
    let block = (256, 1, 1)
    if blocks > 0 {
      kernel("Quantization.cu", "absmax_sums", defines, on: absmax.gpu)
        .launch(grid: (nested, 1, 1), block: block, sums.address, absmax.address, Int64(blocks))
      kernel("Quantization.cu", "absmax_mean", defines, on: absmax.gpu)
        .launch(grid: (1, 1, 1), block: block, offset.address, sums.address, Int64(nested), Int64(blocks))
      kernel("Quantization.cu", "quantize_absmax", defines, on: absmax.gpu)
        .launch(
          grid: (nested, 1, 1), block: block, codes.address, most.address, absmax.address, offset.address, steps.address, Int64(blocks))
    }
    self = .coded(
      codes: codes, absmax: most, map: Tensor(DynamicMap.signed.values, [256], part: .weights, on: device), offset: offset)
  }
}

extension KernelVariants {
  /// What a test run compiles of this room.
  static let quantization: [KernelVariant] = {
    let types = [DType.bfloat16, .float16, .float32].map { KernelDefine("T", $0.cudaName) }
    let bytes = (0...2).flatMap { format in types.map { [KernelDefine("BYTE_CODES", 1), KernelDefine("FORMAT", format), $0] } }
    return [
      KernelVariant(
        "Quantization.cu", ["dequantize_4bit", "dequantize_4bit_any"],
        types.flatMap { type in (0...1).map { [KernelDefine("DEQUANTIZE_4BIT", 1), KernelDefine("NESTED", $0), type] } }),
      KernelVariant(
        "Quantization.cu", ["quantize_4bit"],
        [64, 4096].map { [KernelDefine("QUANTIZE_4BIT", 1), KernelDefine("BLOCK", $0), types[0]] }),
      KernelVariant("Quantization.cu", ["absmax_sums", "absmax_mean", "quantize_absmax"], [[KernelDefine("NESTED_SCALES", 1)]]),
      KernelVariant("Quantization.cu", ["dequantize_bytes", "dequantize_bytes_any", "quantize_bytes"], bytes),
      KernelVariant("Quantization.cu", ["place_matrix"], types.map { [KernelDefine("PLACE_MATRIX", 1), $0] }),
    ]
  }()
}
