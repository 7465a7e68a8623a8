/// Where each sequence of a token stream begins.
///
/// Rows of all sequences stand one after the other without padding. A sequence has `nq` queries and `nk` ≥ `nq` keys; its query `i` stands at
/// key position `nk − nq + i`. In training both starts are equal.
public struct SequenceLayout: Sendable, Hashable {
  /// The first query row of each sequence, and at the end the number of query rows.
  public let queryStarts: [Int]
  /// The first key row of each sequence, and at the end the number of key rows.
  public let keyStarts: [Int]

  /// - Precondition: both lists begin with 0, ascend, and have one length.
  public init(queryStarts: [Int], keyStarts: [Int]) {
    precondition(queryStarts.count == keyStarts.count, "\(queryStarts.count) query starts, \(keyStarts.count) key starts")
    for starts in [queryStarts, keyStarts] {
      precondition(starts.first == 0 && zip(starts, starts.dropFirst()).allSatisfy(<=), "sequence starts \(starts) do not ascend from 0")
    }
    self.queryStarts = queryStarts
    self.keyStarts = keyStarts
  }

  /// Sequences of `lengths` tokens, each its own keys.
  public init(lengths: [Int]) {
    var starts = [0]
    for length in lengths { starts.append(starts[starts.count - 1] + length) }
    self.init(queryStarts: starts, keyStarts: starts)
  }

  /// Number of sequences.
  public var count: Int { queryStarts.count - 1 }
  /// Number of query rows.
  public var queries: Int { queryStarts[queryStarts.count - 1] }
  /// Number of key rows.
  public var keys: Int { keyStarts[keyStarts.count - 1] }
}
