import CPlatform

/// Numbers coded in blocks, as GGUF files hold them: Q4_0 Q4_1 Q5_0 Q5_1 Q8_0, the K types Q2_K … Q6_K, and MXFP4.
///
/// Encoding searches each block's scales for the smallest squared error; the bytes do not depend on threads or instruction set. About 60 to 130
/// million numbers a second and core for the K types with AVX-512, 1600 for Q4_0.
public enum BlockCodec {
  /// All formats, by their numbers in GGUF files, ascending.
  public static let formats: [UInt32] = [2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 39]

  /// Numbers in a block of the format with this number in GGUF files; nil for one that is not known.
  public static func numbers(_ format: UInt32) -> Int? {
    let count = swiftlet_block_numbers(Int32(clamping: format))
    return count == 0 ? nil : count
  }

  /// Bytes of `numbers` numbers in whole blocks of a known format.
  public static func byteCount(_ format: UInt32, numbers: Int) -> Int {
    let format = Int32(clamping: format)
    return numbers / swiftlet_block_numbers(format) * swiftlet_block_bytes(format)
  }

  /// Writes the numbers of whole blocks.
  /// - Precondition: the format is known, and `out` has room for the numbers of `bytes`.
  public static func decode(_ format: UInt32, _ bytes: UnsafeRawBufferPointer, into out: UnsafeMutableBufferPointer<Float>) {
    let format = Int32(clamping: format)
    let (size, numbers) = (swiftlet_block_bytes(format), swiftlet_block_numbers(format))
    precondition(size > 0, "block format \(format) is unknown")
    let blocks = bytes.count / size
    precondition(blocks * size == bytes.count && blocks * numbers == out.count, "\(bytes.count) bytes for \(out.count) numbers")
    guard let from = bytes.baseAddress, let into = out.baseAddress else { return }
    parallelFor(blocks, grain: (1 << 14) / numbers) { range in
      let codes = (from + range.lowerBound * size).assumingMemoryBound(to: UInt8.self)
      _ = swiftlet_decode_blocks(format, codes, range.count, into + range.lowerBound * numbers)
    }
  }

  /// Codes whole blocks of finite numbers.
  /// - Precondition: the format can be written (Q4_0, Q8_0, Q2_K … Q6_K), and `out` has exactly the room.
  public static func encode(_ format: UInt32, _ x: UnsafeBufferPointer<Float>, into out: UnsafeMutableRawBufferPointer) {
    let format = Int32(clamping: format)
    let (size, numbers) = (swiftlet_block_bytes(format), swiftlet_block_numbers(format))
    precondition(size > 0, "block format \(format) is unknown")
    let blocks = x.count / numbers
    precondition(blocks * numbers == x.count && blocks * size == out.count, "\(x.count) numbers for \(out.count) bytes")
    guard let from = x.baseAddress, let into = out.baseAddress else { return }
    parallelFor((blocks + 15) / 16, grain: (1 << 12) / numbers) { range in
      // Whole groups of 16 blocks: the search takes up to 16 at a time, and a group's bytes must not depend on the cut.
      let (first, last) = (range.lowerBound * 16, min(range.upperBound * 16, blocks))
      let codes = (into + first * size).assumingMemoryBound(to: UInt8.self)
      let isKnown = swiftlet_encode_blocks(format, from + first * numbers, last - first, codes)
      precondition(isKnown, "block format \(format) cannot be written")
    }
  }
}
