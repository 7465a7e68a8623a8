import Foundation

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

  /// Adds `[tokens · vocabulary]` logits of the reference and of the other model.
  /// - Precondition: as many of both.
  public mutating func add(_ reference: [Float], _ other: [Float], vocabulary: Int) {
    precondition(reference.count == other.count && vocabulary > 0, "\(reference.count) and \(other.count) logits")
    for start in stride(from: 0, to: reference.count, by: vocabulary) {
      addToken(reference[start..<start + vocabulary], other[start..<start + vocabulary])
    }
  }

  private mutating func addToken(_ p: ArraySlice<Float>, _ q: ArraySlice<Float>) {
    let (logP, logQ) = (Self.logSum(p), Self.logSum(q))
    var best = (p: p.startIndex, q: q.startIndex)
    for i in p.indices {
      let difference = abs(p[i] - q[i])
      largest = difference.isNaN ? .infinity : max(largest, difference)
      absolute += Double(difference)
      divergence += exp(Double(p[i]) - logP) * ((Double(p[i]) - logP) - (Double(q[i]) - logQ))
      if p[i] > p[best.p] { best.p = i }
      if q[i] > q[best.q] { best.q = i }
    }
    tokens += 1
    count += p.count
    if best.p == best.q { agreeing += 1 }
  }

  private static func logSum(_ logits: ArraySlice<Float>) -> Double {
    let most = Double(logits.max() ?? 0)
    return most + log(logits.reduce(0) { $0 + exp(Double($1) - most) })
  }
}
