import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore

/// Loss and gradients of all rows of one optimizer step.
struct GradientWindow {
  let model: CausalLM
  let checkpointing: Checkpointing
  var tokensAtOnce: Int
  var offload = SavePlacement.device
  var tileRows: Int?

  /// What a window gave.
  struct Result {
    var lossSum = 0.0
    /// Loss sums that a GPU is still computing.
    fileprivate var pending: [Tensor] = []
    var trainedTokens = 0
    var tokens = 0
    var isFinite = true
    /// The mean over the trained tokens.
    var loss: Double { lossSum / Double(max(1, trainedTokens)) }

    /// Waits for what a GPU is still computing.
    mutating func settle() {
      lossSum += pending.reduce(0) { $0 + Double($1.scalar) }
      isFinite = isFinite && lossSum.isFinite
      pending = []
    }
  }

  /// Rows go through the model in groups of at most `tokensAtOnce` tokens, at least one row each. Groups depend on the sequence of rows alone,
  /// not on how a recipe cuts them into batches: 8 × 1, 4 × 2 and 1 × 8 compute the same sums in the same order.
  func groups(_ rows: [TokenRow]) -> [[TokenRow]] {
    Self.groups(lengths: rows.map(\.ids.count), tokensAtOnce).map { Array(rows[$0]) }
  }

  /// The same for rows of these lengths.
  static func groups(lengths: [Int], _ tokensAtOnce: Int) -> [Range<Int>] {
    var groups: [Range<Int>] = []
    var tokens = 0
    for (index, length) in lengths.enumerated() {
      if groups.isEmpty || tokens + length > tokensAtOnce {
        groups.append(index..<index)
        tokens = 0
      }
      groups[groups.count - 1] = groups[groups.count - 1].lowerBound..<index + 1
      tokens += length
    }
    return groups
  }

  /// Adds the gradient of the mean loss over all trained tokens of `rows` to the parameters. Stops at a loss that is not finite; on a GPU
  /// nothing waits for the loss, and `Result.settle` tells it.
  /// - Parameter lossScale: what the loss is multiplied with, float32 [1] on the GPU; the optimizer divides it out.
  func gradients(_ rows: [TokenRow], random: Random, lossScale: Tensor? = nil) -> Result {
    let trained = rows.reduce(0) { $0 + $1.trainedTokens }
    var result = Result()
    result.trainedTokens = trained
    result.tokens = rows.reduce(0) { $0 + $1.ids.count }
    if trained == 0 { return result }
    for (index, group) in groups(rows).enumerated() where result.isFinite {
      // A tape that is never read backwards would hold what it saved.
      if group.allSatisfy({ $0.trainedTokens == 0 }) { continue }
      let tape = Tape()
      let context = ForwardContext(
        lengths: group.flatMap(\.lengths), tape: tape, checkpointing: checkpointing, dropoutRandom: random.split(UInt64(index)))
      context.offload = offload
      context.tileRows = tileRows
      let (sum, count) = loss(group, context)
      result.pending.append(sum.detached)
      if !sum.device.isCUDA { result.settle() }
      if count > 0, result.isFinite {
        let share = 1 / Float(trained)
        tape.backward(from: sum, seed: lossScale.map { scaled($0, by: share) } ?? Tensor([share], [1], on: model.placement.device))
      }
    }
    return result
  }

  /// The mean loss of `rows` without gradients and without dropout.
  func evaluate(_ rows: [TokenRow]) -> Result {
    var result = Result()
    for group in groups(rows) {
      let (sum, count) = loss(group, ForwardContext(lengths: group.flatMap(\.lengths)))
      result.lossSum += count == 0 ? 0 : Double(sum.scalar)
      result.trainedTokens += count
      result.tokens += group.reduce(0) { $0 + $1.ids.count }
    }
    return result
  }

  private func loss(_ group: [TokenRow], _ context: ForwardContext) -> (lossSum: Tensor, count: Int) {
    let targets = shiftedTargets(labels: group.flatMap(\.labels), lengths: group.flatMap(\.lengths))
    return model.loss(ids: group.flatMap(\.ids), targets: targets, context)
  }

  /// Where the first number that is not finite appears in a pass over `rows`: for the message when training stops.
  func diagnosis(_ rows: [TokenRow]) -> String {
    let parameters = model.parameters + model.adapterParameters
    if let bad = parameters.first(where: { $0.isMaterialized && $0.dtype == .float32 && !isFinite($0.value) }) {
      return "the weight \(bad.name) holds a number that is not finite"
    }
    if let bad = parameters.first(where: { $0.gradient.map { !isFinite($0) } ?? false }) {
      return "the gradient of \(bad.name) is not finite"
    }
    var place: String?
    for group in groups(rows) where place == nil {
      let context = ForwardContext(lengths: group.flatMap(\.lengths))
      context.observer = { index, hidden in
        if place == nil, !isFinite(hidden) {
          place = index == 0 ? "the embedding is not finite" : "the output of block \(index - 1) is not finite"
        }
      }
      _ = loss(group, context)
    }
    return place ?? "the logits are not finite"
  }
}

/// Whether all elements of a float tensor are finite numbers. Waits for a GPU.
func isFinite(_ tensor: Tensor) -> Bool {
  let host = tensor.moved(to: .cpu, part: .workspace).float32
  return withExtendedLifetime(host.storage) { host.floats.allSatisfy(\.isFinite) }
}
