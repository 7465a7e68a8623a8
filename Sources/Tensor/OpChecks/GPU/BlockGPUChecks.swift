import SwiftletCPU
import SwiftletCUDA
import SwiftletOps
import SwiftletTensorCore

/// Matrices in the blocks of GGUF files for checks.
package enum BlockSamples {
  /// Where the blocks of a type hold halves.
  private static let halves: [UInt32: [Int]] = [
    2: [0], 3: [0, 2], 6: [0], 7: [0, 2], 8: [0], 10: [80, 82], 11: [108], 12: [0, 2], 13: [0, 2], 14: [208],
  ]

  /// Codes that look like nothing, with shared scales of both signs below 0.03, some of them subnormal.
  /// - Precondition: the type is known, and rows are whole blocks.
  package static func matrix(_ type: UInt32, _ shape: Shape) -> QuantizedMatrix {
    let block = BlockCodec.byteCount(type, numbers: BlockCodec.numbers(type) ?? 0)
    let random = Random(seed: UInt64(type))
    var codes = (0..<BlockCodec.byteCount(type, numbers: shape.count)).map { UInt8(truncatingIfNeeded: random.word(UInt64($0))) }
    for start in stride(from: 0, to: codes.count, by: block) {
      for half in halves[type] ?? [] {
        let high = codes[start + half + 1]
        codes[start + half + 1] = high & 0x83 | (high >> 2 & 31) % 10 << 2
      }
      // MXFP4 has the exponent of a float; the least one is written otherwise than the others.
      if halves[type] == nil { codes[start] = codes[start] % 9 == 0 ? 0 : 0x70 | codes[start] & 15 }
    }
    return QuantizedMatrix(
      shape: shape, format: .blocks(type), codes: Tensor(codes, [shape[0], codes.count / shape[0]]), scales: .amongCodes)
  }
}

extension GPUCheck {
  /// Matrices in the blocks of GGUF files: the GPU's bits are the processor's, as numbers, as rows of a token table, and in products.
  static var blocks: [GPUCheck] {
    BlockCodec.formats.map { type in
      GPUCheck("blocks of type \(type)") { device in
        defer { forgetDequantizedSlots(on: .cuda(device.ordinal)) }
        let numbers = BlockCodec.numbers(type) ?? 0
        // One block, rows that begin anywhere, more than a tile, parts of tiles at both ends.
        let shapes: [Shape] = [[1, numbers], [33, numbers], [5, 3 * numbers], [3, 8192 + numbers], [300, 1024], [64, 14_336]]
        return shapes.flatMap { decoded(BlockSamples.matrix(type, $0), on: .cuda(device.ordinal)) }
          + tables(BlockSamples.matrix(type, [50, 3 * numbers]), on: .cuda(device.ordinal))
          + tables(BlockSamples.matrix(type, [7, 8192 + numbers]), on: .cuda(device.ordinal))
          + products(BlockSamples.matrix(type, [96, 512]), on: device)
      }
    }
  }

  private static func decoded(_ matrix: QuantizedMatrix, on device: Device) -> [CheckResult] {
    let there = matrix.moved(to: device)
    let (rows, columns) = (matrix.outputs, matrix.inputs)
    let factors = normal(8, [rows])
    return OpComparison.formats.map { dtype in
      var found = 0.0
      // The last padding puts rows between multiples of 16 bytes.
      for (range, padding, scaled) in [(0..<rows, 0, false), (0..<rows, 64, true), (rows / 2..<rows, 8, false), (rows / 3..<rows, 3, true)]
      {
        func result(_ matrix: QuantizedMatrix, _ device: Device) -> [UInt8] {
          let target = Tensor(zeros: [range.count, columns + padding], dtype, on: device)
          matrix.dequantize(rows: range, into: target, rowScale: scaled ? factors.moved(to: device) : nil)
          return octets(target)
        }
        found += differences(result(matrix, .cpu), result(there, device))
      }
      return CheckResult(name: "\(matrix.format) \(matrix.shape) to \(dtype): bytes that differ", error: found, tolerance: 0)
    }
  }

  private static func tables(_ table: QuantizedMatrix, on device: Device) -> [CheckResult] {
    let ids = Tensor((0..<33).map { Int32($0 * 7 % table.outputs) }, [33])
    let places = [
      ("ordinary", table), ("pinned", table.with(table.tensors.map { $0.pinned(for: device) })), ("its own", table.moved(to: device)),
    ]
    return OpComparison.formats.flatMap { dtype in
      let wanted = OpComparison.floats(OpComparison.rounded(embedding(ids, .quantized(table), scale: 1.5), to: dtype))
      return places.map { name, table in
        let found = embedding(ids.moved(to: device), .quantized(table), scale: 1.5, dtype: dtype)
        return CheckResult(
          name: "embedding \(table.format) \(table.shape) as \(dtype) from \(name) memory: differences",
          error: differences(wanted, OpComparison.floats(found)), tolerance: 0)
      }
    }
  }

  /// Products with codes have the bits of products with the numbers.
  private static func products(_ matrix: QuantizedMatrix, on device: CUDADevice) -> [CheckResult] {
    if device.blas.error != nil { return [] }
    let place = Device.cuda(device.ordinal)
    let there = matrix.moved(to: place)
    return OpComparison.formats.map { dtype in
      let (x, dy) = (normal(1, [33, matrix.inputs]), normal(2, [33, matrix.outputs]))
      func bytes(_ weight: LinearWeight) -> [UInt8] {
        let (tape, box) = (Tape(), GradientBox())
        let input = tape.watch(OpComparison.rounded(x, to: dtype).moved(to: place), for: box)
        let y = SwiftletOps.linear(input, LinearOperands(weight: weight))
        tape.backward(from: y, seed: OpComparison.rounded(dy, to: dtype).moved(to: place))
        return octets(y) + (box.gradient.map { octets($0) } ?? [])
      }
      let found = differences(bytes(.quantized(there)), bytes(.dense(there.dequantized(dtype))))
      return CheckResult(name: "linear \(matrix.format) in \(dtype): bytes that differ", error: found, tolerance: 0)
    }
  }
}
