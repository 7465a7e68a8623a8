/// Keeps account of the cache in blocks of tokens. A sequence reserves what it can need at most when it starts, so a running sequence
/// never has to stop for want of memory.
package struct BlockManager {
  /// Tokens of one block.
  package static let blockSize = 64
  /// Blocks that may be in use at once.
  package let capacity: Int
  private var reserved: [Int: Int] = [:]
  /// Blocks in use.
  package private(set) var used = 0

  package init(capacity: Int) {
    self.capacity = capacity
  }

  /// Blocks that `tokens` tokens fill.
  package static func blocks(for tokens: Int) -> Int { (tokens + blockSize - 1) / blockSize }

  /// Reserves blocks for the longest that `sequence` can become; false where they are not free. A sequence that alone is larger than
  /// everything gets its blocks when nothing else runs: waiting longer would not help.
  package mutating func reserve(_ sequence: TokenSequence) -> Bool {
    let blocks = Self.blocks(for: sequence.longest)
    guard used + blocks <= capacity || used == 0 else { return false }
    reserved[sequence.id] = blocks
    used += blocks
    return true
  }

  /// Gives back the blocks of a sequence that has ended.
  package mutating func release(_ sequence: TokenSequence) {
    used -= reserved.removeValue(forKey: sequence.id) ?? 0
  }
}
