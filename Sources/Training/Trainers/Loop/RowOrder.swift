import SwiftletTensorCore

/// The order of rows in each epoch, kept for the epoch in use.
package final class RowOrder {
  private let plan: StepPlan
  private var epoch = -1
  private var order: [Int] = []

  package init(_ plan: StepPlan) { self.plan = plan }

  /// Indices of the rows of step `step` (from 0).
  package func rows(step: Int) -> [Int] { plan.rowIndices(step: step, order: order(epoch:)) }

  private func order(epoch: Int) -> [Int] {
    if epoch != self.epoch {
      self.epoch = epoch
      order =
        plan.shuffle ? shuffled(plan.rows, Random(seed: plan.seed, stream: 0x6F72_6465_7200).split(UInt64(epoch))) : Array(0..<plan.rows)
    }
    return order
  }
}

/// The numbers `0 ..< count` in an order that `random` determines (Fisher and Yates).
func shuffled(_ count: Int, _ random: Random) -> [Int] {
  var order = Array(0..<count)
  guard count > 1 else { return order }
  for i in stride(from: count - 1, to: 0, by: -1) {
    let words = random.block(UInt64(i))
    let word = UInt64(words.0) | UInt64(words.1) << 32
    // The high half of the product is uniform on 0...i but for a bias of (i + 1) / 2⁶⁴.
    order.swapAt(i, Int(word.multipliedFullWidth(by: UInt64(i + 1)).high))
  }
  return order
}
