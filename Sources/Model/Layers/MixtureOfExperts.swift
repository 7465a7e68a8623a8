import SwiftletOps
import SwiftletTensorCore

/// How tokens choose their experts.
public struct RouterOptions: Hashable, Sendable {
  /// Experts of a token.
  public var topK: Int
  /// Whether the weights of the chosen experts are scaled to sum 1.
  public var normalizes: Bool
  /// How logits become scores.
  public var score = RouterScore.softmax
  /// A factor on the weights.
  public var scale: Float = 1
  /// A choice among groups first; nil for none.
  public var groups: RouterGroups?

  /// Softmax over all experts.
  public init(topK: Int, normalizes: Bool) { (self.topK, self.normalizes) = (topK, normalizes) }
}

/// What is added to the scores for the choice of experts only: it evens out their load, and is set by another rule than gradients (DeepSeek-V3).
public final class RouterCorrection: Module {
  /// The path of the router in Hugging Face files.
  public let path: String
  private let bias: Parameter

  /// Makes `e_score_correction_bias` [experts] in `scope`.
  public init(experts: Int, _ scope: ParameterScope) {
    path = scope.path
    bias = scope.buffer("e_score_correction_bias", [experts])
    scope.register(self)
  }

  /// The one buffer.
  public var parameters: [Parameter] { [bias] }
  /// It is never replaced.
  public func replace(_ old: Parameter, with new: Parameter) {}
  var value: Tensor { bias.tensor(on: nil) }
}

/// Each token goes to the experts that a router scores highest; their outputs are added, weighted by the router.
public final class MixtureOfExperts: FeedForward {
  private let router: Linear
  private let correction: RouterCorrection?
  private let experts: [GatedMLP]
  private let shared: GatedMLP?
  private let options: RouterOptions

  /// - Parameters:
  ///   - correction: added to the scores for the choice.
  ///   - shared: what every token passes besides, with weight 1; made after the experts.
  ///   - expert: makes expert number i.
  public init(
    router: Linear, _ options: RouterOptions, correction: RouterCorrection? = nil, count: Int, shared: () -> GatedMLP? = { nil },
    expert: (Int) -> GatedMLP
  ) {
    self.router = router
    self.options = options
    self.correction = correction
    experts = (0..<count).map(expert)
    self.shared = shared()
  }

  /// `[tokens, hidden]` to `[tokens, hidden]`.
  public func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor {
    let routing = route(
      router(widened(x), context), topK: options.topK, normalize: options.normalizes, score: options.score, bias: correction?.value,
      scale: options.scale, groups: options.groups)
    let outputs = zip(dispatch(x, routing), experts).map { rows, expert in
      // An expert without tokens has nothing to compute, and its parameters get no gradient.
      rows.shape[0] == 0 ? rows.detached : expert(rows, context)
    }
    let routed = combine(outputs, routing)
    return shared.map { add(routed, $0(x, context)) } ?? routed
  }
}
