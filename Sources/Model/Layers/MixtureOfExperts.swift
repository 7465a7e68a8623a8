import SwiftletOps
import SwiftletTensorCore

/// Each token goes to the `topK` experts that a router scores highest; their outputs are added, weighted by the router.
public final class MixtureOfExperts: FeedForward {
  private let router: Linear
  private let experts: [GatedMLP]
  private let topK: Int
  private let normalizes: Bool

  /// - Parameters:
  ///   - normalizes: whether the weights of the chosen experts are scaled to sum 1.
  ///   - expert: makes expert number i.
  public init(router: Linear, topK: Int, normalizes: Bool, count: Int, expert: (Int) -> GatedMLP) {
    self.router = router
    self.topK = topK
    self.normalizes = normalizes
    experts = (0..<count).map(expert)
  }

  /// `[tokens, hidden]` to `[tokens, hidden]`.
  public func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor {
    let routing = route(router(x, context), topK: topK, normalize: normalizes)
    let outputs = zip(dispatch(x, routing), experts).map { rows, expert in
      // An expert without tokens has nothing to compute, and its parameters get no gradient.
      rows.shape[0] == 0 ? rows.detached : expert(rows, context)
    }
    return combine(outputs, routing)
  }
}
