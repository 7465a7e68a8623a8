/// A set of code points as sorted ranges that neither touch nor overlap.
struct ScalarRanges: Hashable, Sendable {
  private(set) var ranges: [ClosedRange<UInt32>] = []

  static let everything = ScalarRanges([0...0x10FFFF])

  init(_ ranges: [ClosedRange<UInt32>] = []) {
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = self.ranges.last, range.lowerBound <= last.upperBound || range.lowerBound == last.upperBound + 1 {
        self.ranges[self.ranges.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
      } else {
        self.ranges.append(range)
      }
    }
  }

  init(scalars: [UInt32]) { self.init(scalars.map { $0...$0 }) }

  func union(_ other: ScalarRanges) -> ScalarRanges { ScalarRanges(ranges + other.ranges) }

  /// Everything outside the set.
  var inverted: ScalarRanges {
    var result: [ClosedRange<UInt32>] = []
    var next: UInt32 = 0
    for range in ranges {
      if range.lowerBound > next { result.append(next...range.lowerBound - 1) }
      next = range.upperBound + 1
    }
    if next <= 0x10FFFF { result.append(next...0x10FFFF) }
    return ScalarRanges(result)
  }

  func intersection(_ other: ScalarRanges) -> ScalarRanges {
    inverted.union(other.inverted).inverted
  }

  func subtracting(_ other: ScalarRanges) -> ScalarRanges { inverted.union(other).inverted }

  var isEmpty: Bool { ranges.isEmpty }

  func contains(_ c: UInt32) -> Bool {
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound < c { low = middle + 1 } else { high = middle }
    }
    return low < ranges.count && ranges[low].lowerBound <= c
  }
}
