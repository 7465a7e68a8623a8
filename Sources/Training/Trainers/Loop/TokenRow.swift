/// A row as the model sees it: one sequence, or several packed into one that do not see each other.
public struct TokenRow: Hashable, Sendable {
  /// Token ids.
  public let ids: [Int32]
  /// For each id, the label that predicts it: the id itself, or −100 where it is not trained on.
  public let labels: [Int32]
  /// Lengths of the sequences in it; they sum to the number of ids.
  public let lengths: [Int]

  /// - Precondition: as many labels as ids; lengths that sum to that number.
  public init(ids: [Int32], labels: [Int32], lengths: [Int]? = nil) {
    self.ids = ids
    self.labels = labels
    self.lengths = lengths ?? [ids.count]
    precondition(labels.count == ids.count && self.lengths.reduce(0, +) == ids.count, "labels or lengths do not fit \(ids.count) ids")
  }

  /// Tokens that the loss counts: labels but the first of each sequence, which nothing predicts.
  public var trainedTokens: Int {
    var firsts = Set<Int>()
    var start = 0
    for length in lengths where length > 0 {
      firsts.insert(start)
      start += length
    }
    return labels.indices.count { labels[$0] != -100 && !firsts.contains($0) }
  }
}

/// Which rows make step after step: a pure function of the step, so a data cursor is a number.
public struct StepPlan: Hashable, Sendable {
  /// Rows of the data.
  public let rows: Int
  /// Rows of a step: batch size times accumulation.
  public let window: Int
  /// Whether each epoch has an order of its own.
  public let shuffle: Bool
  /// Determines the orders.
  public let seed: UInt64
  /// Steps of the whole run.
  public let totalSteps: Int

  /// The last step of an epoch has the rows that are left.
  /// - Precondition: at least one row.
  public init(rows: Int, plan: PlanOptions, shuffle: Bool) {
    precondition(rows > 0, "no rows to train on")
    self.rows = rows
    self.shuffle = shuffle
    let (window, overflow) = plan.batchSize.multipliedReportingOverflow(by: plan.accumulation)
    self.window = overflow ? rows : max(1, window)
    seed = UInt64(bitPattern: Int64(plan.seed))
    let perEpoch = (rows + self.window - 1) / self.window
    let fromEpochs = ((plan.epochs ?? 1) * Double(perEpoch)).rounded(.up)
    totalSteps = max(1, plan.steps ?? Int(exactly: fromEpochs) ?? 1)
  }

  /// Steps of one epoch.
  public var stepsPerEpoch: Int { (rows + window - 1) / window }

  /// Passes over the data after `step` steps.
  public func epoch(after step: Int) -> Double { Double(step) / Double(stepsPerEpoch) }

  /// The rows of step `step` (from 0), in order.
  func rowIndices(step: Int, order: (Int) -> [Int]) -> [Int] {
    let (epoch, position) = step.quotientAndRemainder(dividingBy: stepsPerEpoch)
    let start = position * window
    return Array(order(epoch)[start..<min(start + window, rows)])
  }
}
