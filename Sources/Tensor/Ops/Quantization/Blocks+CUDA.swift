import SwiftletCPU
import SwiftletCUDA
import SwiftletTensorCore

extension QuantizedMatrix {
  /// Bytes of a row of blocks.
  private var rowBytes: Int { codes.byteCount / max(outputs, 1) }

  private static func blockDefines(_ type: UInt32, _ dtype: DType) -> [KernelDefine] {
    [KernelDefine("BLOCK", Int(type)), KernelDefine("T", dtype.cudaName)]
  }

  /// `dequantize` of blocks of `type` on a GPU. The kernel counts in 31 bits: a matrix of more than 2³⁴ numbers goes in parts.
  /// - Parameter factors: of the whole matrix's rows, or null.
  func blocksOnGPU(_ type: UInt32, _ rows: Range<Int>, _ target: Tensor, _ factors: DevicePointer) {
    let step = max(1, ((1 << 31) - 1) / (inputs / 8))
    let rowSize = target.shape.columns * target.dtype.size
    let perRow = Divisor(inputs / 8)
    let kernel = kernel("Blocks.cu", "dequantize_blocks", Self.blockDefines(type, target.dtype), on: target.gpu)
    for first in stride(from: rows.lowerBound, to: rows.upperBound, by: step) {
      let chunks = min(step, rows.upperBound - first) * (inputs / 8)
      let place = target.address + (first - rows.lowerBound) * rowSize
      kernel.launch(
        grid: ((chunks + 1023) / 1024, 1, 1), block: (256, 1, 1), place, codes.address + first * rowBytes,
        factors == .null ? .null : factors + first * 4, UInt32(chunks), UInt32(inputs / 8), perRow.factor, perRow.shift,
        Int64(target.shape.columns), UInt32(place.address % 16 == 0 && rowSize % 16 == 0 ? 1 : 0))
    }
  }

  /// Writes `factor · row` of each id on a GPU.
  /// - Parameters:
  ///   - ids: int32 [tokens], on the GPU; one that is no row gives NaN.
  ///   - output: [tokens, in], float32, bfloat16 or float16, a tensor of its own.
  /// - Returns: false, and nothing is written, where the GPU cannot reach the codes: they lie in host memory that is not pinned.
  /// - Precondition: the matrix is in blocks.
  func gatherBlocks(_ ids: Tensor, times factor: Float, into output: Tensor) -> Bool {
    guard case .blocks(let type) = format else { preconditionFailure("rows of \(format) cannot be gathered on a GPU") }
    guard let place = codes.reachableAddress else { return false }
    if ids.count == 0 || inputs == 0 { return true }
    kernel("Blocks.cu", "embed_blocks", Self.blockDefines(type, output.dtype), on: output.gpu).launch(
      grid: (ids.count, (inputs / 8 + 1023) / 1024, 1), block: (256, 1, 1), output.address, ids.address, place, factor,
      UInt32(inputs / 8), Int32(outputs))
    return true
  }
}

extension KernelVariants {
  /// Each type of block in each format.
  static let blocks = [
    KernelVariant(
      "Blocks.cu", ["dequantize_blocks", "embed_blocks"],
      BlockCodec.formats.flatMap { type in
        [DType.bfloat16, .float16, .float32].map { [KernelDefine("BLOCK", Int(type)), KernelDefine("T", $0.cudaName)] }
      })
  ]
}
