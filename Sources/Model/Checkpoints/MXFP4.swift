import SwiftletCPU
import SwiftletOps
import SwiftletTensorCore

/// 4-bit floats in blocks of 32 that share a power of two (OCP microscaling formats, 2023), as gpt-oss stores them.
///
/// In memory it is a 4-bit code like others: the codebook has its 16 numbers, and the scales of blocks are coded, too, a byte each, whose map holds
/// the powers of two. So every number is exact, and kernels need no other format.
package enum MXFP4 {
  /// What the codes stand for: a sign, two exponent bits, one mantissa bit.
  private static let numbers: [Float] = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6]

  /// Some rows of a stored tensor as a matrix of their own.
  /// - Parameters:
  ///   - blocks: uint8, [rows, in / 32, 16] in whatever shape: two codes a byte, the first in its low half.
  ///   - scales: uint8, [rows, in / 32]: exponents, 127 for 1.
  ///   - firstRow: of the stored rows, and how far the next ones lie behind it (`step`).
  ///   - shape: [out, in] of the result, `in` a multiple of 32.
  package static func matrix(blocks: Tensor, scales: Tensor, firstRow: Int, step: Int, shape: Shape) -> QuantizedMatrix {
    let (rows, bytes, groups) = (shape[0], shape[1] / 2, shape[1] / 32)
    let last = firstRow + (rows - 1) * step
    precondition(
      shape[1] % 32 == 0 && rows > 0 && (last + 1) * bytes <= blocks.byteCount && (last + 1) * groups <= scales.byteCount,
      "\(shape) from row \(firstRow) of \(blocks.shape) with scales \(scales.shape)")
    let codes = Tensor(uninitialized: [rows * bytes], .uint8, part: .weights)
    let exponents = Tensor(uninitialized: [rows * groups], .uint8, part: .weights)
    let (from, into) = (blocks.elements(UInt8.self), codes.elements(UInt8.self))
    let (fromScales, intoScales) = (scales.elements(UInt8.self), exponents.elements(UInt8.self))
    withExtendedLifetime((blocks.storage, scales.storage)) {
      parallelFor(rows, grain: max(1, (1 << 15) / max(1, bytes))) { range in
        for row in range {
          let source = firstRow + row * step
          // Here the first number is in the high half of a byte.
          for i in 0..<bytes { into[row * bytes + i] = from[source * bytes + i] << 4 | from[source * bytes + i] >> 4 }
          for i in 0..<groups { intoScales[row * groups + i] = fromScales[source * groups + i] }
        }
      }
    }
    let nested = (rows * groups + QuantizedMatrix.nestedBlockSize - 1) / QuantizedMatrix.nestedBlockSize
    return QuantizedMatrix(
      shape: shape, format: .fp4, codes: codes,
      scales: .coded(
        codes: exponents, absmax: Tensor([Float](repeating: 1, count: nested), [nested], part: .weights),
        map: Tensor(Exponents.numbers, [256], part: .weights), offset: Tensor([Float(0)], [1], part: .weights)),
      blockSize: 32, codebook: Tensor(numbers, [16], part: .weights))
  }
}
