import Foundation
import SwiftletCPU

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

  /// Adds `[tokens · vocabulary]` logits of the reference and of the other model. Tokens are compared in parallel and added in their order.
  /// - Precondition: as many of both, whole rows of `vocabulary`.
  public mutating func add(_ reference: [Float], _ other: [Float], vocabulary: Int) {
    precondition(
      reference.count == other.count && vocabulary > 0 && reference.count % vocabulary == 0,
      "\(reference.count) and \(other.count) logits of \(vocabulary)")
    var found = [LogitComparison](repeating: LogitComparison(), count: reference.count / vocabulary)
    found.withUnsafeMutableBufferPointer { found in
      reference.withUnsafeBufferPointer { p in
        other.withUnsafeBufferPointer { q in
          parallelFor(found.count, grain: 1) { tokens in
            for token in tokens {
              let row = token * vocabulary..<(token + 1) * vocabulary
              found[token].addToken(UnsafeBufferPointer(rebasing: p[row]), UnsafeBufferPointer(rebasing: q[row]))
            }
          }
        }
      }
    }
    for token in found { add(token) }
  }

  private mutating func add(_ other: LogitComparison) {
    largest = max(largest, other.largest)
    (tokens, agreeing, count) = (tokens + other.tokens, agreeing + other.agreeing, count + other.count)
    (absolute, divergence) = (absolute + other.absolute, divergence + other.divergence)
  }

  private mutating func addToken(_ p: UnsafeBufferPointer<Float>, _ q: UnsafeBufferPointer<Float>) {
    let (logP, logQ) = (Self.logSum(p), Self.logSum(q))
    var best = (p: 0, q: 0)
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

  private static func logSum(_ logits: UnsafeBufferPointer<Float>) -> Double {
    let most = Double(logits.max() ?? 0)
    return most + log(logits.reduce(0) { $0 + exp(Double($1) - most) })
  }
}
