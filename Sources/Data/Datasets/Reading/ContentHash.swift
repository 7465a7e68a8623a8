/// A 128-bit fingerprint of bytes, to notice that data changed between two runs. Not for use against someone who wants a collision.
///
/// Depends on the bytes and their order alone, not on how they are cut into pieces.
package struct ContentHash: Sendable {
  private var a: UInt64 = 0x9E37_79B9_7F4A_7C15
  private var b: UInt64 = 0xC2B2_AE3D_27D4_EB4F
  private var tail: UInt64 = 0
  private var tailCount = 0
  private var count = 0

  package init() {}

  /// Adds bytes.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    count &+= bytes.count
    var at = 0
    while tailCount != 0, at < bytes.count { push(bytes[at], &at) }
    while at + 8 <= bytes.count {
      mix(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)))
      at += 8
    }
    while at < bytes.count { push(bytes[at], &at) }
  }

  /// Adds text.
  package mutating func update(_ text: String) {
    var text = text
    text.withUTF8 { update(UnsafeRawBufferPointer($0)) }
  }

  private mutating func push(_ byte: UInt8, _ at: inout Int) {
    tail |= UInt64(byte) << UInt64(8 * tailCount)
    tailCount += 1
    at += 1
    if tailCount == 8 {
      mix(tail)
      (tail, tailCount) = (0, 0)
    }
  }

  // Each lane is a multiply-xorshift chain with a constant of its own (odd, from the golden ratio and xxHash).
  private mutating func mix(_ word: UInt64) {
    a = (a ^ word) &* 0xD6E8_FEB8_6659_FD93
    a ^= a >> 32
    b = (b &+ word) &* 0x9FB2_1C65_1E98_DF25
    b ^= b >> 28
  }

  /// 32 hexadecimal digits.
  package var hex: String {
    var end = self
    end.mix(end.tail)
    end.mix(UInt64(bitPattern: Int64(end.count)))
    end.mix(end.b)
    return [end.a, end.b].map { word in
      let digits = String(word, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }
}
