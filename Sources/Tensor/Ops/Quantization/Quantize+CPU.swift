import CPlatform
import SwiftletCPU
import SwiftletTensorCore

extension QuantizedMatrix {
  /// Codes a matrix of floating-point numbers, bit for bit as bitsandbytes does on the CPU; where the numbers are
  /// on a GPU, there, with the same bits.
  ///
  /// - Parameters:
  ///   - matrix: [out, in], float32, bfloat16 or float16; it may be a view of a file.
  ///   - blockSize: of 4-bit formats.
  ///   - doubleQuantized: whether 4-bit scales are coded in 8 bits, relative to their mean (summed in float64 in a fixed order).
  ///
  /// 4-bit: `x · (1 / absmax)` takes the nearest number of the codebook, on a tie the lower one; blocks of zeros hold zeros. int8:
  /// `round(x · (127 / absmax))`. fp8: `x / scale` to nearest, scale = absmax / 448. A scale is NaN where a number is.
  public init(quantizing matrix: Tensor, _ format: QuantizationFormat, blockSize: Int = 64, doubleQuantized: Bool = true) {
    precondition(matrix.shape.rank == 2 && matrix.dtype.isFloat, "a matrix of numbers is wanted, not \(matrix.shape) \(matrix.dtype)")
    if matrix.device.isCUDA {
      self.init(quantizingOnGPU: matrix, format, blockSize: blockSize, doubleQuantized: doubleQuantized)
      return
    }
    switch format {
    case .nf4, .fp4: self.init(fourBit: matrix, format, blockSize, doubleQuantized)
    case .int8, .fp8: self.init(rowsOf: matrix, format)
    case .fp8Blocks: self.init(blocksOf: matrix)
    case .blocks(let type): preconditionFailure("block format \(type) is read from files, not made here")
    }
  }

  private init(fourBit matrix: Tensor, _ format: QuantizationFormat, _ blockSize: Int, _ doubleQuantized: Bool) {
    precondition(Self.blockSizes.contains(blockSize), "a block of \(blockSize): 32, 64 … 4096 are possible")
    let count = matrix.count
    let packed = Tensor(uninitialized: [(count + 1) / 2], .uint8, part: .weights)
    let absmax = Tensor(uninitialized: [(count + blockSize - 1) / blockSize], part: .weights)
    let (source, target, scales) = (matrix.bytes, packed.bytes.assumingMemoryBound(to: UInt8.self), absmax.pointer)
    let (size, type) = (matrix.dtype.size, matrix.cpuFloat.code)
    let code = format.encoder.raw
    parallelFor((count + 65535) / 65536) { pieces in
      let start = pieces.lowerBound * 65536
      withUnsafePointer(to: code) {
        swiftlet_quantize4(
          $0, source + start * size, type, min(pieces.upperBound * 65536, count) - start, blockSize, scales + start / blockSize,
          target + start / 2)
      }
    }
    self.init(
      shape: matrix.shape, format: format, codes: packed, scales: doubleQuantized ? Scales(coding: absmax) : .plain(absmax),
      blockSize: blockSize)
  }

  private init(rowsOf matrix: Tensor, _ format: QuantizationFormat) {
    let (rows, columns) = (matrix.shape[0], matrix.shape[1])
    let codes = Tensor(uninitialized: matrix.shape, format == .int8 ? .int8 : .uint8, part: .weights)
    let scales = Tensor(uninitialized: [rows], part: .weights)
    let (bytes, target) = (codes.bytes, scales.pointer)
    parallelFor(rows, grain: max(1, (1 << 15) / max(columns, 1))) { range in
      let row = UnsafeMutablePointer<Float>.allocate(capacity: max(columns, 1))
      defer { row.deallocate() }
      for r in range {
        convert(matrix, from: r * columns, count: columns, to: row)
        let most = swiftlet_absmax(row, columns)
        target[r] = format == .int8 ? most : most / 448
        if format == .int8 {
          swiftlet_quantize_int8(row, most, (bytes + r * columns).assumingMemoryBound(to: Int8.self), columns)
        } else {
          swiftlet_quantize_e4m3(row, target[r], (bytes + r * columns).assumingMemoryBound(to: UInt8.self), columns)
        }
      }
    }
    self.init(shape: matrix.shape, format: format, codes: codes, scales: .plain(scales))
  }

  private init(blocksOf matrix: Tensor) {
    let (rows, columns) = (matrix.shape[0], matrix.shape[1])
    let across = (columns + 127) / 128
    let codes = Tensor(uninitialized: matrix.shape, .uint8, part: .weights)
    let scales = Tensor(uninitialized: [(rows + 127) / 128, across], part: .weights)
    let (bytes, target) = (codes.bytes.assumingMemoryBound(to: UInt8.self), scales.pointer)
    parallelFor((rows + 127) / 128) { bands in
      let numbers = UnsafeMutablePointer<Float>.allocate(capacity: 128 * max(columns, 1))
      defer { numbers.deallocate() }
      for band in bands {
        let height = min(128, rows - band * 128)
        convert(matrix, from: band * 128 * columns, count: height * columns, to: numbers)
        for block in 0..<across {
          let (first, width) = (block * 128, min(128, columns - block * 128))
          // A NaN stays: it is above every number as an integer.
          let most = (0..<height).reduce(UInt32(0)) { max($0, swiftlet_absmax(numbers + $1 * columns + first, width).bitPattern) }
          let scale = Float(bitPattern: most) / 448
          target[band * across + block] = scale
          for r in 0..<height {
            swiftlet_quantize_e4m3(numbers + r * columns + first, scale, bytes + (band * 128 + r) * columns + first, width)
          }
        }
      }
    }
    self.init(shape: matrix.shape, format: .fp8Blocks, codes: codes, scales: .plain(scales))
  }
}

extension QuantizedMatrix.Scales {
  /// Double quantisation of block scales [blocks], float32.
  init(coding absmax: Tensor) {
    let blocks = absmax.count
    let nested = (blocks + QuantizedMatrix.nestedBlockSize - 1) / QuantizedMatrix.nestedBlockSize
    let values = absmax.pointer
    let offset = blocks == 0 ? 0 : Float(treeSum(values, blocks) / Double(blocks))
    let codes = Tensor(uninitialized: [blocks], .uint8, part: .weights)
    let scales = Tensor(uninitialized: [nested], part: .weights)
    let (bytes, most) = (codes.elements(UInt8.self), scales.pointer)
    DynamicMap.signed.codes.withUnsafeBufferPointer { table in
      for block in 0..<nested {
        let range = block * QuantizedMatrix.nestedBlockSize..<min(blocks, (block + 1) * QuantizedMatrix.nestedBlockSize)
        most[block] = range.reduce(Float(0)) { max($0, abs(values[$1] - offset)) }
        let inverse: Float = most[block] > 0 ? 1 / most[block] : 0
        for i in range { bytes[i] = DynamicMap.code((values[i] - offset) * inverse, table) }
      }
    }
    self = .coded(
      codes: codes, absmax: scales, map: Tensor(DynamicMap.signed.values, [256], part: .weights),
      offset: Tensor([offset], [1], part: .weights))
  }
}

/// Σ values in float64: trees over 256 numbers, then 256 strides over the trees' sums and a tree over those. A GPU sums in this order, too.
private func treeSum(_ values: UnsafePointer<Float>, _ count: Int) -> Double {
  func tree(_ parts: inout [Double]) -> Double {
    var step = 128
    while step > 0 {
      for i in 0..<step { parts[i] += parts[i + step] }
      step /= 2
    }
    return parts[0]
  }
  var strides = [Double](repeating: 0, count: 256)
  var parts = strides
  for block in 0..<(count + 255) / 256 {
    for i in 0..<256 { parts[i] = block * 256 + i < count ? Double(values[block * 256 + i]) : 0 }
    strides[block % 256] += tree(&parts)
  }
  return tree(&strides)
}
