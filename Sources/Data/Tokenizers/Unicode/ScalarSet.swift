/// A set of code points as a bitmap in two levels, for membership in constant time.
///
/// The memory belongs to whoever made the set: sets in static properties live for ever, others are freed with `deallocate`. A plain
/// pointer keeps reference counting out of the inner loops.
struct ScalarSet: Sendable {
  private let low: UInt64
  private let high: UInt64
  /// 4352 offsets of 16 bits, one for each 256 code points, then the bitmaps they point to.
  private nonisolated(unsafe) let memory: UnsafeMutablePointer<UInt64>

  private static let pageWords = 0x1100 / 4

  init(_ set: ScalarRanges) {
    var pages = [UInt16](repeating: 0, count: 0x1100)
    var words: [UInt64] = [0, 0, 0, 0, ~0, ~0, ~0, ~0]
    for range in set.ranges {
      for page in Int(range.lowerBound >> 8)...Int(range.upperBound >> 8) {
        let first = UInt32(page) << 8
        let from = max(range.lowerBound, first) - first
        let to = min(range.upperBound, first + 255) - first
        if from == 0, to == 255 {
          pages[page] = 4
          continue
        }
        if pages[page] == 0 {
          pages[page] = UInt16(words.count)
          words += [0, 0, 0, 0]
        }
        for bit in from...to { words[Int(pages[page]) + Int(bit >> 6)] |= 1 << UInt64(bit & 63) }
      }
    }
    low = words[Int(pages[0])]
    high = words[Int(pages[0]) + 1]
    memory = .allocate(capacity: Self.pageWords + words.count)
    for index in 0..<Self.pageWords {
      let four = pages[index * 4..<index * 4 + 4].reversed()
      memory[index] = four.reduce(0) { $0 << 16 | UInt64($1) }
    }
    for (index, word) in words.enumerated() { memory[Self.pageWords + index] = word }
  }

  func deallocate() { memory.deallocate() }

  /// Membership of a code point up to 10FFFF.
  @inline(__always)
  func contains(_ c: UInt32) -> Bool {
    if c < 0x80 { return containsASCII(UInt8(truncatingIfNeeded: c)) }
    let page = memory[Int(c >> 10)] >> UInt64(c >> 4 & 0x30) & 0xFFFF
    return memory[Self.pageWords + Int(page) + Int(c >> 6 & 3)] >> UInt64(c & 63) & 1 != 0
  }

  /// Membership of an ASCII character.
  @inline(__always)
  func containsASCII(_ c: UInt8) -> Bool { (c < 64 ? low : high) >> UInt64(c & 63) & 1 != 0 }
}
