/// A sequence's share of one forward pass.
package struct ScheduledSequence {
  /// Whose tokens.
  package let sequence: TokenSequence
  /// How many of its pending tokens.
  package let count: Int
  /// Whether the pass ends with the sequence's last token, so that the next one can be drawn.
  package var completes: Bool { count == sequence.pending }
}

/// Chooses what the next forward pass computes: one token of every sequence that generates, then as much of the prompts as fits. Knows no
/// tensor. First come, first served.
package struct Scheduler {
  private let maximumSequences: Int
  private let maximumTokens: Int
  private var blocks: BlockManager
  private var waiting: [TokenSequence] = []
  /// Sequences whose keys and values are in the cache.
  package private(set) var running: [TokenSequence] = []

  package init(maximumSequences: Int, maximumTokens: Int, blocks: BlockManager) {
    self.maximumSequences = max(1, maximumSequences)
    self.maximumTokens = max(1, maximumTokens)
    self.blocks = blocks
  }

  /// Whether a sequence waits or runs.
  package var hasWork: Bool { !waiting.isEmpty || !running.isEmpty }
  /// Cache blocks in use.
  package var usedBlocks: Int { blocks.used }

  package mutating func add(_ sequence: TokenSequence) {
    waiting.append(sequence)
  }

  /// Takes out the sequences that have ended and returns those that ran.
  package mutating func removeFinished() -> [TokenSequence] {
    waiting.removeAll { $0.finishReason != nil }
    let finished = running.filter { $0.finishReason != nil }
    guard !finished.isEmpty else { return [] }
    for sequence in finished { blocks.release(sequence) }
    running.removeAll { $0.finishReason != nil }
    return finished
  }

  /// The next pass, empty where there is nothing to do.
  package mutating func next() -> [ScheduledSequence] {
    admit()
    var room = maximumTokens
    var pass: [ScheduledSequence] = []
    // Short shares first: sequences that generate must not wait for long prompts.
    for decoding in [true, false] {
      for sequence in running where (sequence.pending == 1) == decoding && room > 0 {
        let count = min(sequence.pending, room)
        pass.append(ScheduledSequence(sequence: sequence, count: count))
        room -= count
      }
    }
    return pass
  }

  private mutating func admit() {
    var admitted = 0
    for sequence in waiting {
      guard running.count < maximumSequences, blocks.reserve(sequence) else { break }
      running.append(sequence)
      admitted += 1
    }
    waiting.removeFirst(admitted)
  }
}
