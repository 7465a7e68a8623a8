/// A random order of 0 ..< count that is never stored: the place of each element is computed when it is asked for.
///
/// A Feistel network of eight rounds over the next even power of two, walked until it lands inside the range (Black and Rogaway, 2002).
/// The same seed and stream give the same order on every machine.
public struct Permutation: RandomAccessCollection, Hashable, Sendable {
  /// Number of elements.
  public let count: Int
  private let halfBits: UInt64
  private let random: CounterRandom

  /// The order number `stream` of a seed.
  /// - Precondition: `count` is not negative.
  public init(count: Int, seed: UInt64, stream: UInt64) {
    precondition(count >= 0, "a count that is not negative is wanted, found \(count)")
    self.count = count
    var bits: UInt64 = 1
    while bits < 31, UInt64(1) << (2 * bits) < UInt64(count) { bits += 1 }
    halfBits = bits
    random = CounterRandom(seed: seed, stream: stream)
  }

  /// 0.
  public var startIndex: Int { 0 }
  /// `count`.
  public var endIndex: Int { count }

  /// The element at place `index`, in constant time on average.
  public subscript(index: Int) -> Int {
    precondition(indices.contains(index), "place \(index) of \(count)")
    var value = UInt64(index)
    repeat { value = round8(value) } while value >= UInt64(count)
    return Int(value)
  }

  private func round8(_ value: UInt64) -> UInt64 {
    let mask = (UInt64(1) << halfBits) - 1
    var left = value >> halfBits
    var right = value & mask
    for round in 0..<8 as Range<UInt64> {
      let next = left ^ (random[round << 56 | right] >> 32 & mask)
      left = right
      right = next
    }
    return left << halfBits | right
  }
}
