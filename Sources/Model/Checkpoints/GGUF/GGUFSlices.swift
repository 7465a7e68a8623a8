import SwiftletCPU
import SwiftletFormats
import SwiftletTensorCore

/// Brings numbers into the types of a GGUF file, a slice of a tensor at a time, through buffers that all tensors share: of some MB, where a
/// table of tokens has gigabytes in float32.
final class GGUFSlices {
  /// Numbers in a slice: whole groups of the 16 blocks that are coded together.
  private static let count = 1 << 20
  private let exact = Tensor(uninitialized: [count, 1], .float32, part: .workspace)
  private let read = Tensor(uninitialized: [count, 1], .float32, part: .workspace)
  private var codes = [UInt8](repeating: 0, count: 4 * count)

  /// Hands over the bytes of a tensor, or of a piece of one.
  /// - Returns: the largest |stored − exact|.
  /// - Throws: what `body` throws, and where a stored number is not finite.
  func write(_ piece: Tensor, _ plan: GGUFPlan, _ body: (UnsafeRawBufferPointer) throws -> Void) throws -> Float {
    let column = piece.reshaped([piece.count, 1])
    var largest: Float = 0
    for first in stride(from: 0, to: piece.count, by: Self.count) {
      let part = column.rows(first..<min(first + Self.count, piece.count))
      let (exact, read) = (self.exact.rows(0..<part.count), self.read.rows(0..<part.count))
      exact.assign(from: part)
      let bytes = store(exact, plan.type, readingBackInto: read)
      try Finite.check(read, plan.name, from: first, of: piece.shape)
      largest = max(largest, read.largestDifference(from: exact))
      try codes.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[..<bytes])) }
    }
    return largest
  }

  /// Fills `codes`, and `read` with the numbers that they stand for; returns how many bytes.
  private func store(_ exact: Tensor, _ type: GGUFType, readingBackInto read: Tensor) -> Int {
    let bytes = exact.count / type.block.numbers * type.block.bytes
    codes.withUnsafeMutableBytes { codes in
      let codes = UnsafeMutableRawBufferPointer(rebasing: codes[..<bytes])
      switch type {
      case .f32, .f16, .bf16:
        let stored = exact.converted(to: type == .f32 ? .float32 : type == .f16 ? .float16 : .bfloat16, part: .workspace)
        stored.withBytes { codes.copyMemory(from: $0) }
        read.assign(from: stored)
      default:
        exact.withFloats { BlockCodec.encode(type.rawValue, UnsafeBufferPointer($0), into: codes) }
        read.withFloats { BlockCodec.decode(type.rawValue, UnsafeRawBufferPointer(codes), into: $0) }
      }
    }
    return bytes
  }
}
