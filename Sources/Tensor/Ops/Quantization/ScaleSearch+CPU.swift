import CPlatform
import SwiftletCPU
import SwiftletTensorCore

extension QuantizedMatrix {
  /// Codes a matrix as NF4 in blocks of 64 like `init(quantizing:)`, with other numbers in the same layout: the scale of a block is not its
  /// largest magnitude but that of 41 about it, 0.3 to 1.1 times as large, whose codes have the least squared error (sought among every fourth,
  /// then about the best of these), and codes are chosen for the scales as 8 bits give them back. On weights that are drawn from a normal
  /// distribution the squared error is 14 % less.
  ///
  /// - Parameters:
  ///   - matrix: [out, in], float32, bfloat16 or float16, in host memory, finite.
  ///   - inputSquares: what the squared errors of each column weigh, [in]: the mean squares of the map's inputs; nil for all alike.
  /// - Returns: the same bits on every run. Cost: about 17 times that of `init(quantizing:)`.
  package init(searchingScales matrix: Tensor, inputSquares: [BFloat16]? = nil) {
    precondition(
      matrix.shape.rank == 2 && matrix.device == .cpu, "a matrix in host memory is wanted, not \(matrix.shape) on \(matrix.device)")
    precondition(
      inputSquares?.count ?? matrix.shape.columns == matrix.shape.columns,
      "squares of \(inputSquares?.count ?? 0) inputs meet a matrix \(matrix.shape)")
    let (count, columns) = (matrix.count, matrix.shape.columns)
    // Blocks run on over the ends of rows: what a block reads lies together wherever it begins.
    let squares = inputSquares.map { squares in (0..<columns + BlockCoder.size).map { squares[$0 % columns].float } }
    let blocks = (count + BlockCoder.size - 1) / BlockCoder.size
    let best = Tensor(uninitialized: [blocks], part: .workspace)
    let packed = Tensor(uninitialized: [(count + 1) / 2], .uint8, part: .weights)
    let (target, bytes) = (best.pointer, packed.bytes.assumingMemoryBound(to: UInt8.self))
    Self.forBlocks(matrix) { block, coder in
      target[block] =
        squares?.withUnsafeBufferPointer { coder.bestScale($0.baseAddress.map { $0 + block * BlockCoder.size % columns }) }
        ?? coder.bestScale(nil)
    }
    self.init(shape: matrix.shape, format: .nf4, codes: packed, scales: Scales(coding: best), blockSize: BlockCoder.size)
    let scaled = self
    Self.forBlocks(matrix) { block, coder in
      let start = block * BlockCoder.size / 2
      scaled.withScales(block..<block + 1) { scale in
        coder.code(scale[0], into: bytes + start, count: min(BlockCoder.size / 2, packed.count - start))
      }
    }
  }

  /// Calls `body` with every block's number and numbers, in parallel; behind the last numbers stand zeros.
  private static func forBlocks(_ matrix: Tensor, _ body: (Int, BlockCoder) -> Void) {
    let count = matrix.count
    parallelFor((count + BlockCoder.size - 1) / BlockCoder.size, grain: 256) { blocks in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: BlockCoder.size) { buffer in
        guard let numbers = buffer.baseAddress else { return }
        for block in blocks {
          let start = block * BlockCoder.size
          let here = min(BlockCoder.size, count - start)
          convert(matrix, from: start, count: here, to: numbers)
          (numbers + here).update(repeating: 0, count: BlockCoder.size - here)
          body(block, BlockCoder(numbers))
        }
      }
    }
  }
}

/// NF4 codes of one block of 64 numbers, for any scale.
private struct BlockCoder {
  static let size = 64
  private static let values = QuantizationFormat.nf4.codebook ?? []
  private static let encoder = QuantizationFormat.nf4.encoder
  private static let code = encoder.raw
  private static let factors = (0...40).map { Float(0.3 + 0.02 * Double($0)) }
  private static let ones = [Float](repeating: 1, count: size)
  private let numbers: UnsafePointer<Float>

  init(_ numbers: UnsafePointer<Float>) { self.numbers = numbers }

  /// The scale with the least squared error, each number's weighed by its own factor where there are any; 0 for a block of zeros.
  func bestScale(_ weights: UnsafePointer<Float>?) -> Float {
    let absmax = swiftlet_absmax(numbers, Self.size)
    guard absmax > 0 else { return 0 }
    return withUnsafePointer(to: Self.code) { code in
      Self.values.withUnsafeBufferPointer { values in
        Self.ones.withUnsafeBufferPointer { ones in
          best(absmax) { swiftlet_squared_error4(code, values.baseAddress, numbers, weights ?? ones.baseAddress, Self.size, $0) }
        }
      }
    }
  }

  private func best(_ absmax: Float, _ error: (_ scale: Float) -> Float) -> Float {
    var best = (error: Float.infinity, scale: absmax, index: 0)
    func consider(_ index: Int) {
      guard Self.factors.indices.contains(index) else { return }
      let scale = absmax * Self.factors[index]
      let found = error(scale)
      if found < best.error { best = (found, scale, index) }
    }
    for index in stride(from: 0, to: Self.factors.count, by: 4) { consider(index) }
    let coarse = best.index
    for step in 1...3 {
      consider(coarse - step)
      consider(coarse + step)
    }
    return best.scale
  }

  /// Writes `count` bytes of codes, the even number's in the high half. With a scale of 0 every number is 0.
  func code(_ scale: Float, into bytes: UnsafeMutablePointer<UInt8>, count: Int) {
    let inverse = scale == 0 ? 0 : 1 / scale
    for index in 0..<Self.size / 16 {
      let scaled = UnsafeRawPointer(numbers + 16 * index).loadUnaligned(as: SIMD16<Float>.self) * inverse
      var codes = SIMD16<Int32>(repeating: 0)
      for (i, threshold) in Self.encoder.thresholds.enumerated() { codes.replace(with: Int32(i + 1), where: scaled .> threshold) }
      for pair in 0..<8 where index * 8 + pair < count {
        bytes[index * 8 + pair] = UInt8(codes[2 * pair] << 4 | codes[2 * pair + 1])
      }
    }
  }
}
