/// A seeded source of choices (SplitMix64), so that the same seed writes the same text on every machine.
struct Dice {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A number in `range`.
  mutating func roll(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + Int(next() % UInt64(range.count))
  }

  /// One of `choices`.
  mutating func pick<T>(_ choices: [T]) -> T { choices[roll(0...choices.count - 1)] }

  /// `count` different ones of `choices`, in random order.
  mutating func pick<T>(_ count: Int, of choices: [T]) -> [T] {
    var rest = choices
    return (0..<min(count, choices.count)).map { _ in rest.remove(at: roll(0...rest.count - 1)) }
  }

  /// True once in `n`.
  mutating func oneIn(_ n: Int) -> Bool { roll(1...n) == 1 }
}
