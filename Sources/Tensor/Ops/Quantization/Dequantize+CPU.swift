import CPlatform
import SwiftletCPU
import SwiftletTensorCore

extension QuantizedMatrix {
  /// Writes rows of the matrix as numbers.
  ///
  /// - Parameters:
  ///   - rows: which; all where nil.
  ///   - target: [rows, stride] with stride ≥ in, float32, bfloat16 or float16: row r of the range becomes the first `in` numbers of row r. What
  ///     stands behind them stays, for example an adapter's columns.
  ///   - rowScale: a factor for each row of the whole matrix, float32 [out] (DoRA).
  ///
  /// `code · scale (· factor)`, each product rounded to float32, then to the target's format: bit for bit what bitsandbytes gives.
  public func dequantize(rows: Range<Int>? = nil, into target: Tensor, rowScale: Tensor? = nil) {
    let rows = rows ?? 0..<outputs
    precondition(rows.lowerBound >= 0 && rows.upperBound <= outputs, "rows \(rows) of a matrix \(shape)")
    precondition(
      target.dtype.isFloat && target.shape.rows == rows.count && target.shape.columns >= inputs,
      "rows \(rows) of a matrix \(shape) do not go into \(target.shape) \(target.dtype)")
    if let rowScale { precondition(rowScale.count == outputs && rowScale.dtype == .float32, "row factors \(rowScale.shape) for \(shape)") }
    if rows.isEmpty || inputs == 0 { return }
    if device.isCUDA { return dequantizeOnGPU(rows, target, rowScale) }
    switch format {
    case .nf4, .fp4: fourBit(rows, target, rowScale)
    case .int8, .fp8, .fp8Blocks: eightBit(rows, target, rowScale)
    case .blocks(let type): blocks(rows, Int32(clamping: type), target, rowScale)
    }
  }

  /// The rows as a new tensor [rows, in].
  public func dequantized(rows: Range<Int>? = nil, _ dtype: DType = .float32, rowScale: Tensor? = nil, part: MemoryPart = .workspace)
    -> Tensor
  {
    let result = Tensor(uninitialized: [(rows ?? 0..<outputs).count, inputs], dtype, part: part, on: device)
    dequantize(rows: rows, into: result, rowScale: rowScale)
    return result
  }

  private func fourBit(_ rows: Range<Int>, _ target: Tensor, _ rowScale: Tensor?) {
    guard let codebook else { return }
    let (columns, stride, blockSize) = (inputs, target.shape.columns, blockSize)
    let (packed, values, factors) = (codes.elements(UInt8.self), codebook.pointer, rowScale?.pointer)
    let (out, size) = (target.bytes, target.dtype.size)
    let type = target.cpuFloat.code
    parallelFor(rows.count, grain: max(1, (1 << 16) / columns)) { range in
      for r in range {
        let first = (rows.lowerBound + r) * columns
        withScales(first / blockSize..<(first + columns - 1) / blockSize + 1) { absmax in
          swiftlet_dequantize4(
            values, packed.baseAddress, absmax, first, columns, blockSize, factors?[rows.lowerBound + r] ?? 1, out + r * stride * size, type
          )
        }
      }
    }
  }

  /// The scales of blocks as float32 numbers.
  func withScales(_ blocks: Range<Int>, _ body: (UnsafePointer<Float>) -> Void) {
    switch scales {
    case .plain(let scales): body(scales.pointer + blocks.lowerBound)
    case .amongCodes: preconditionFailure("\(format) has no scales beside its codes")
    case .coded(let codes, let absmax, let map, let offset):
      let (codes, absmax, map, offset) = (codes.elements(UInt8.self), absmax.pointer, map.pointer, offset.pointer[0])
      withUnsafeTemporaryAllocation(of: Float.self, capacity: blocks.count) { buffer in
        for (i, block) in blocks.enumerated() {
          buffer[i] = map[Int(codes[block])] * absmax[block / Self.nestedBlockSize] + offset
        }
        if let base = buffer.baseAddress { body(base) }
      }
    }
  }

  private func eightBit(_ rows: Range<Int>, _ target: Tensor, _ rowScale: Tensor?) {
    guard case .plain(let scales) = scales else { return }
    let (columns, stride, format) = (inputs, target.shape.columns, format)
    let (bytes, scale, factors) = (codes.bytes, scales.pointer, rowScale?.pointer)
    let (out, size, type) = (target.bytes, target.dtype.size, target.cpuFloat)
    parallelFor(rows.count, grain: max(1, (1 << 15) / columns)) { range in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { buffer in
        guard let numbers = buffer.baseAddress else { return }
        for r in range {
          let row = rows.lowerBound + r
          Self.row(bytes + row * columns, scale, row, columns, format, factors?[row] ?? 1, numbers)
          CPUConvert.fromFloat(numbers, count: columns, to: out + r * stride * size, type: type)
        }
      }
    }
  }

  private func blocks(_ rows: Range<Int>, _ type: Int32, _ target: Tensor, _ rowScale: Tensor?) {
    let (columns, stride, factors) = (inputs, target.shape.columns, rowScale?.pointer)
    let (count, rowBytes) = (columns / swiftlet_block_numbers(type), codes.byteCount / outputs)
    let (bytes, out, size, float) = (codes.elements(UInt8.self).baseAddress, target.bytes, target.dtype.size, target.cpuFloat)
    guard let bytes else { return }
    parallelFor(rows.count, grain: max(1, (1 << 15) / columns)) { range in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { buffer in
        guard let base = buffer.baseAddress else { return }
        for r in range {
          let (row, place) = (rows.lowerBound + r, out + r * stride * size)
          let numbers = float == .f32 ? place.assumingMemoryBound(to: Float.self) : base
          _ = swiftlet_decode_blocks(type, bytes + row * rowBytes, count, numbers)
          if let factors { for c in 0..<columns { numbers[c] *= factors[row] } }
          if float != .f32 { CPUConvert.fromFloat(numbers, count: columns, to: place, type: float) }
        }
      }
    }
  }

  private static func row(
    _ codes: UnsafeRawPointer, _ scales: UnsafePointer<Float>, _ row: Int, _ columns: Int, _ format: QuantizationFormat, _ factor: Float,
    _ numbers: UnsafeMutablePointer<Float>
  ) {
    let bytes = codes.assumingMemoryBound(to: UInt8.self)
    switch format {
    case .int8: swiftlet_dequantize_int8(codes.assumingMemoryBound(to: Int8.self), scales[row], factor, numbers, columns)
    case .fp8: swiftlet_dequantize_e4m3(bytes, scales[row], factor, numbers, columns)
    default:
      let across = (columns + 127) / 128
      for block in 0..<across {
        let first = block * 128
        swiftlet_dequantize_e4m3(
          bytes + first, scales[row / 128 * across + block], factor, numbers + first, min(128, columns - first))
      }
    }
  }
}
