import SwiftletTensorCore

/// Which experts each token goes to, and with what weight.
public struct Routing {
  /// [tokens, k], float32, on the tape of the logits.
  public let weights: Tensor
  /// The expert of each token's slot, [tokens · k], a token's slots by falling weight.
  public let experts: [Int32]
  /// Slots (token · k + place) sorted by expert, and by token within an expert.
  public let order: [Int32]
  /// The place in `order` of each slot.
  public let places: [Int32]
  /// Where each expert's slots begin in `order`, and at the end their number.
  public let offsets: [Int]

  /// Experts per token.
  public var topK: Int { weights.shape.columns }
  /// Number of tokens.
  public var tokens: Int { weights.shape.rows }
  /// Number of experts.
  public var expertCount: Int { offsets.count - 1 }

  /// A routing from weights and experts chosen elsewhere.
  /// - Precondition: there are as many experts as weights, each below `expertCount`.
  public init(weights: Tensor, experts: [Int32], expertCount: Int) {
    precondition(experts.count == weights.count, "\(experts.count) experts for weights \(weights.shape)")
    var offsets = [Int](repeating: 0, count: expertCount + 1)
    for expert in experts { offsets[Int(expert) + 1] += 1 }
    for e in 0..<expertCount { offsets[e + 1] += offsets[e] }
    var next = offsets
    var order = [Int32](repeating: 0, count: experts.count)
    var places = order
    for (slot, expert) in experts.enumerated() {
      order[next[Int(expert)]] = Int32(slot)
      places[slot] = Int32(next[Int(expert)])
      next[Int(expert)] += 1
    }
    self.weights = weights
    self.experts = experts
    self.order = order
    self.places = places
    self.offsets = offsets
  }
}

/// How router logits become scores.
public enum RouterScore: String, Sendable, Codable { case softmax, sigmoid }

/// A choice among groups of experts before that among experts (DeepSeek-V3): a group counts as much as its two best experts together.
public struct RouterGroups: Hashable, Sendable {
  /// Number of groups; group g has the experts `g · n / count ..< (g + 1) · n / count` of n.
  public var count: Int
  /// How many groups' experts may be chosen.
  public var kept: Int

  /// - Precondition: `1 ≤ kept ≤ count ≤ 64`.
  public init(count: Int, kept: Int) {
    precondition((1...64).contains(count) && (1...count).contains(kept), "\(kept) of \(count) groups of experts")
    self.count = count
    self.kept = kept
  }
}

/// The `topK` experts of each token by score, with their weights.
///
/// - Parameters:
///   - logits: [tokens, experts], float32, on a GPU of any float format.
///   - normalize: divide a token's weights by their sum (Mixtral; Qwen3-MoE's `norm_topk_prob`).
///   - score: softmax over all experts, or sigmoid each.
///   - bias: [experts], added to the scores for the choice only (DeepSeek-V3).
///   - scale: a factor on the weights.
///   - groups: limits the choice to the best groups; nil for one among all.
/// - Returns: the routing; at equal scores the lower expert (or group) comes first.
///
/// Saves the scores. Backward goes through normalisation and score function; the choice has no gradient.
public func route(
  _ logits: Tensor, topK: Int, normalize: Bool, score: RouterScore = .softmax, bias: Tensor? = nil, scale: Float = 1,
  groups: RouterGroups? = nil
) -> Routing {
  let (rows, experts) = (logits.shape.rows, logits.shape.columns)
  precondition(topK > 0 && topK <= experts, "top \(topK) of \(experts) experts")
  if let groups {
    precondition(
      experts % groups.count == 0 && topK <= experts / groups.count * groups.kept,
      "top \(topK) of \(experts) experts in \(groups.kept) of \(groups.count) groups")
  }
  let form = RouterForm(rows: rows, experts: experts, topK: topK, normalize: normalize, score: score, scale: scale, groups: groups)
  let scores: Tensor
  let weights: Tensor
  let choice: Tensor
  let chosen: [Int32]
  let dtype = logits.dtype
  if logits.device.isCUDA {
    (scores, choice, weights) = form.routeOnGPU(logits, bias: bias)
    // The host deals out the tokens; evenly where nothing was computed, on a GPU that failed or is simulated.
    let found = choice.array(Int32.self)
    chosen = logits.gpu.hasFailed || logits.gpu.isSimulated ? found.indices.map { Int32($0 % experts) } : found
  } else {
    scores = form.scores(logits)
    chosen = form.choose(scores, bias: bias?.float32)
    weights = form.weights(scores, chosen)
    choice = Tensor(chosen, [rows, topK])
  }
  let traced =
    logits.trace?.tape.record("route", [logits], saving: [scores, choice], outputs: [weights]) { context in
      guard let gradient = context.take() else { return [nil] }
      let (scores, choice) = (context.saved[0], context.saved[1])
      if scores.device.isCUDA { return [form.backwardOnGPU(gradient, scores: scores, chosen: choice, dtype)] }
      return [form.backward(gradient, scores: scores, chosen: choice.array(Int32.self))]
    }[0] ?? weights
  return Routing(weights: traced, experts: chosen, expertCount: experts)
}
