/// Rows that go through the model together, laid end to end: no padding.
public struct MicroBatch: Hashable, Sendable {
  /// Token ids of all sequences.
  public var ids: [Int32] = []
  /// Labels at the same places (−100: not trained on).
  public var labels: [Int32] = []
  /// Where each sequence starts, and the total at the end: sequence i is starts[i] ..< starts[i + 1]. Positions restart at each, and
  /// nothing is attended across.
  public var starts: [Int32] = [0]

  /// An empty batch.
  public init() {}

  mutating func append(_ row: TokenizedRow, _ range: Range<Int>) {
    ids += row.ids[range]
    labels += row.labels[range]
    starts.append(Int32(truncatingIfNeeded: ids.count))
  }

  /// Lengths of the sequences.
  public var lengths: [Int] { zip(starts, starts.dropFirst()).map { Int($1 - $0) } }

  /// What the prediction at each place is compared with: the label one further, −100 at the end of each sequence.
  public var targets: [Int32] {
    var targets = Array(labels.dropFirst()) + (labels.isEmpty ? [] : [TokenizedRow.ignored])
    for end in starts.dropFirst() where end > 0 { targets[Int(end) - 1] = TokenizedRow.ignored }
    return targets
  }

  /// Tokens that the loss counts.
  public var trainedTokens: Int { targets.count { $0 != TokenizedRow.ignored } }
}

/// A place in the stream of micro-batches; all that resuming needs.
public struct BatchCursor: Hashable, Sendable, Codable {
  /// Passes over the data that are complete.
  public var epoch: Int
  /// Micro-batches of the current pass that are done.
  public var position: Int

  /// A place.
  public init(epoch: Int = 0, position: Int = 0) {
    self.epoch = epoch
    self.position = position
  }
}

/// The stream of micro-batches: a pure function of data, seed, epoch and position, so that a resumed run sees the very same batches.
///
/// A unit is a row or, with packing, a pack. Packs are the same in every epoch; their order is not.
public struct BatchSource: Sendable {
  /// How units become batches.
  public struct Options: Hashable, Sendable {
    /// Units of a micro-batch.
    public var batchSize: Int
    /// How rows are packed; nil leaves each row by itself.
    public var packing: Packing?
    /// Whether each epoch has an order of its own; else units follow the data.
    public var shuffle: Bool
    /// Determines the orders.
    public var seed: UInt64

    /// Options.
    public init(batchSize: Int, packing: Packing? = nil, shuffle: Bool = true, seed: UInt64 = 3407) {
      self.batchSize = batchSize
      self.packing = packing
      self.shuffle = shuffle
      self.seed = seed
    }
  }

  /// The rows.
  public let data: TokenizedDataset
  /// How units become batches.
  public let options: Options
  private let packs: [[Segment]]?

  /// - Precondition: a positive batch size, at least one row.
  public init(_ data: TokenizedDataset, _ options: Options) {
    precondition(options.batchSize > 0, "a positive batch size is wanted, found \(options.batchSize)")
    precondition(data.count > 0, "at least one row is wanted")
    self.data = data
    self.options = options
    packs = options.packing.map { $0.packs(lengths: data.lengths, capacity: data.renderer.contextLength) }
  }

  /// Rows, or packs of rows.
  public var units: Int { packs?.count ?? data.count }

  /// Micro-batches of one epoch; the last one has the units that are left.
  public var batchesPerEpoch: Int { (units + options.batchSize - 1) / options.batchSize }

  /// The micro-batch at a place.
  /// - Throws: where the data file changed since it was opened.
  public func batch(at cursor: BatchCursor) throws -> MicroBatch {
    var batch = MicroBatch()
    for unit in unitNumbers(at: cursor) {
      let segments = packs?[unit] ?? [Segment(row: unit, range: 0..<data.lengths[unit])]
      for segment in segments { batch.append(try data.row(segment.row), segment.range) }
    }
    return batch
  }

  /// The place after `cursor`.
  public func next(after cursor: BatchCursor) -> BatchCursor {
    cursor.position + 1 < batchesPerEpoch
      ? BatchCursor(epoch: cursor.epoch, position: cursor.position + 1) : BatchCursor(epoch: cursor.epoch + 1)
  }

  /// Tokens of the largest micro-batch that can occur.
  public var largestBatch: Int {
    let sizes = packs?.map { $0.reduce(0) { $0 + $1.range.count } } ?? data.lengths
    return sizes.sorted(by: >).prefix(options.batchSize).reduce(0, +)
  }

  private func unitNumbers(at cursor: BatchCursor) -> [Int] {
    precondition((0..<batchesPerEpoch).contains(cursor.position), "position \(cursor.position) of \(batchesPerEpoch) batches")
    let start = cursor.position * options.batchSize
    let places = start..<min(units, start + options.batchSize)
    guard options.shuffle else { return Array(places) }
    let order = Permutation(count: units, seed: options.seed, stream: UInt64(bitPattern: Int64(cursor.epoch)))
    return places.map { order[$0] }
  }
}
