import SwiftletOps
import SwiftletTensorCore

/// How far apart two models answer on the same tokens.
public struct LogitComparison: Hashable, Sendable {
  /// Number of tokens compared.
  public private(set) var tokens = 0
  /// Tokens after which both find the same next token likeliest.
  public private(set) var agreeing = 0
  /// Largest |difference| of a logit.
  public private(set) var largest: Float = 0
  private var divergence = 0.0
  private var absolute = 0.0
  private var count = 0

  /// Nothing compared yet.
  public init() {}

  /// Mean |difference| of a logit.
  public var mean: Double { count == 0 ? 0 : absolute / Double(count) }
  /// Mean Kullback–Leibler divergence of the next-token distributions, reference against other, in nats.
  public var meanDivergence: Double { tokens == 0 ? 0 : divergence / Double(tokens) }
  /// Share of tokens with the same likeliest successor.
  public var agreement: Double { tokens == 0 ? 1 : Double(agreeing) / Double(tokens) }

  /// Adds logits `[tokens, vocabulary]` of the reference and of the other model, whatever their format, on a GPU where both lie there. Tokens are
  /// compared in parallel and added in their order.
  /// - Precondition: as many of both.
  public mutating func add(_ reference: Tensor, _ other: Tensor) {
    let device = reference.device == other.device ? reference.device : .cpu
    func numbers(_ logits: Tensor) -> Tensor { logits.moved(to: device).converted(to: .float32) }
    for token in logitDivergences(numbers(reference), numbers(other)) {
      largest = max(largest, token.largest)
      (tokens, agreeing, count) = (tokens + 1, agreeing + (token.agrees ? 1 : 0), count + reference.shape.columns)
      (absolute, divergence) = (absolute + token.absolute, divergence + token.divergence)
    }
  }
}
