/// A part of a row.
public struct Segment: Hashable, Sendable {
  /// The row.
  public let row: Int
  /// Its tokens.
  public let range: Range<Int>

  /// Tokens `range` of row `row`.
  public init(row: Int, range: Range<Int>) {
    self.row = row
    self.range = range
  }
}

/// How rows are put together so that little space is lost. Rows keep their boundaries: positions restart, nothing is attended across.
public enum Packing: String, CaseIterable, Hashable, Sendable, Codable {
  /// Best fit decreasing; a row longer than the context is cut.
  case bfd
  /// Best fit decreasing; a row longer than the context goes on as further rows.
  case bfdSplit = "bfd_split"
  /// All rows in one stream, cut into equal pieces.
  case wrapped

  /// The packs of rows with these lengths, each at most `capacity` tokens. Equal to TRL's `pack_dataset`, also in order.
  ///
  /// O(n log n) in the number of rows. Rows of no tokens are in no pack.
  /// - Precondition: `capacity` is positive.
  public func packs(lengths: [Int], capacity: Int) -> [[Segment]] {
    precondition(capacity > 0, "a positive capacity is wanted, found \(capacity)")
    switch self {
    case .bfd:
      let segments = lengths.enumerated().map { Segment(row: $0, range: 0..<min($1, capacity)) }
      return Self.bestFit(segments, capacity)
    case .bfdSplit:
      let segments = lengths.enumerated().flatMap { row, length in
        stride(from: 0, to: length, by: capacity).map { Segment(row: row, range: $0..<min(length, $0 + capacity)) }
      }
      return Self.bestFit(segments, capacity)
    case .wrapped: return Self.wrap(lengths, capacity)
    }
  }

  private static func wrap(_ lengths: [Int], _ capacity: Int) -> [[Segment]] {
    var packs: [[Segment]] = []
    var space = 0
    for (row, length) in lengths.enumerated() {
      var start = 0
      while start < length {
        if space == 0 {
          packs.append([])
          space = capacity
        }
        let end = min(length, start + space)
        packs[packs.count - 1].append(Segment(row: row, range: start..<end))
        space -= end - start
        start = end
      }
    }
    return packs
  }

  /// Longest first, each into the fullest pack that still has room; among equals the one that got there first.
  private static func bestFit(_ segments: [Segment], _ capacity: Int) -> [[Segment]] {
    let order = segments.indices.filter { !segments[$0].range.isEmpty }.sorted {
      (segments[$1].range.count, $0) < (segments[$0].range.count, $1)
    }
    var packs: [[Segment]] = []
    var rooms = Rooms(capacity: capacity)
    for index in order {
      let length = segments[index].range.count
      let pack: Int
      let space: Int
      if let found = rooms.take(atLeast: length) {
        (pack, space) = found
      } else {
        (pack, space) = (packs.count, capacity)
        packs.append([])
      }
      packs[pack].append(segments[index])
      rooms.put(pack, space: space - length)
    }
    return packs
  }
}

/// Open packs by the room that is left in them: a first-in first-out queue for each amount, and a tree of bits to find the next amount.
private struct Rooms {
  private var queues: [[Int]]
  private var heads: [Int]
  /// `levels[0]` has a bit for each amount of room, each further level a bit for each word of the level below.
  private var levels: [[UInt64]] = []

  init(capacity: Int) {
    queues = Array(repeating: [], count: capacity)
    heads = Array(repeating: 0, count: capacity)
    var count = capacity
    repeat {
      count = (count + 63) / 64
      levels.append(Array(repeating: 0, count: count))
    } while count > 1
  }

  mutating func put(_ pack: Int, space: Int) {
    guard space > 0 else { return }
    queues[space].append(pack)
    var bit = space
    for level in levels.indices {
      levels[level][bit >> 6] |= 1 << UInt64(bit & 63)
      bit >>= 6
    }
  }

  mutating func take(atLeast length: Int) -> (pack: Int, space: Int)? {
    guard let space = next(length) else { return nil }
    let pack = queues[space][heads[space]]
    heads[space] += 1
    if heads[space] == queues[space].count {
      queues[space].removeAll()
      heads[space] = 0
      clear(space)
    }
    return (pack, space)
  }

  private mutating func clear(_ space: Int) {
    var bit = space
    for level in levels.indices {
      levels[level][bit >> 6] &= ~(1 << UInt64(bit & 63))
      if levels[level][bit >> 6] != 0 { return }
      bit >>= 6
    }
  }

  /// The smallest set bit from `start` on: up the levels to a word that has one, then down to its lowest bit.
  private func next(_ start: Int) -> Int? {
    var bit = start
    var level = 0
    while level < levels.count {
      guard bit >> 6 < levels[level].count else { return nil }
      let word = levels[level][bit >> 6] >> UInt64(bit & 63)
      if word != 0 {
        bit += word.trailingZeroBitCount
        while level > 0 {
          level -= 1
          bit = bit << 6 | levels[level][bit].trailingZeroBitCount
        }
        return bit
      }
      bit = bit >> 6 + 1
      level += 1
    }
    return nil
  }
}
