/// Counter-based random numbers: Philox4x32-10 (Salmon et al., 2011). The value at a place is a pure function of key and counter, so a
/// replay, another thread count or another device gives the same numbers, and saving the state means saving the key.
public struct Random: Hashable, Sendable {
  /// The seed.
  public let seed: UInt64
  /// Which of 2⁶⁴ independent streams of the seed.
  public let stream: UInt64

  /// A stream of a seed.
  public init(seed: UInt64, stream: UInt64 = 0) {
    self.seed = seed
    self.stream = stream
  }

  /// An independent stream derived from this one and `index` (a step, a layer, a row).
  public func split(_ index: UInt64) -> Random {
    let words = block(index ^ 0x5350_4C49_5400_0000)
    return Random(seed: seed, stream: UInt64(words.0) | UInt64(words.1) << 32)
  }

  /// Four 32-bit words at place `counter`.
  @inlinable
  public func block(_ counter: UInt64) -> (UInt32, UInt32, UInt32, UInt32) {
    var c0 = UInt32(truncatingIfNeeded: counter)
    var c1 = UInt32(truncatingIfNeeded: counter >> 32)
    var c2 = UInt32(truncatingIfNeeded: stream)
    var c3 = UInt32(truncatingIfNeeded: stream >> 32)
    var k0 = UInt32(truncatingIfNeeded: seed)
    var k1 = UInt32(truncatingIfNeeded: seed >> 32)
    for _ in 0..<10 {
      let p0 = UInt64(c0) &* 0xD251_1F53
      let p1 = UInt64(c2) &* 0xCD9E_8D57
      let n0 = UInt32(truncatingIfNeeded: p1 >> 32) ^ c1 ^ k0
      let n2 = UInt32(truncatingIfNeeded: p0 >> 32) ^ c3 ^ k1
      c1 = UInt32(truncatingIfNeeded: p1)
      c3 = UInt32(truncatingIfNeeded: p0)
      c0 = n0
      c2 = n2
      k0 = k0 &+ 0x9E37_79B9
      k1 = k1 &+ 0xBB67_AE85
    }
    return (c0, c1, c2, c3)
  }

  /// The 32-bit word at place `index` of the stream.
  @inlinable
  public func word(_ index: UInt64) -> UInt32 {
    let words = block(index >> 2)
    switch index & 3 {
    case 0: return words.0
    case 1: return words.1
    case 2: return words.2
    default: return words.3
    }
  }

  /// A number in [0, 1) with 24 random bits.
  @inlinable
  public func uniform(_ index: UInt64) -> Float { Float(word(index) >> 8) * 0x1p-24 }
}
