/// Random numbers by place: the value is a pure function of key and counter, so that an order of rows needs no state to be saved.
///
/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014), over key and counter.
package struct CounterRandom: Hashable, Sendable {
  private let key: UInt64

  /// A stream of numbers for a seed, one of many per seed.
  package init(seed: UInt64, stream: UInt64) {
    key = Self.mix(Self.mix(seed) ^ (stream &* 0x9E37_79B9_7F4A_7C15 &+ 0x1234_5678_9ABC_DEF1))
  }

  /// The 64-bit word at `counter`.
  package subscript(counter: UInt64) -> UInt64 { Self.mix(key &+ counter &* 0x9E37_79B9_7F4A_7C15) }

  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
