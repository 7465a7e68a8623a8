import CPlatform
import Foundation
import SwiftletTensorCore

/// How the next token is chosen.
public struct SamplingOptions: Codable, Sendable, Hashable {
  /// Divides the logits; 0 takes the most probable token.
  public var temperature: Float = 1
  /// Number of most probable tokens to choose from; 0 for all.
  public var topK = 0
  /// Mass of most probable tokens to choose from; 1 for all.
  public var topP: Float = 1
  /// Least probability relative to the most probable token; 0 for all.
  public var minP: Float = 0
  /// Mass of most typical tokens to choose from; 1 for all.
  public var typicalP: Float = 1
  /// Divides or multiplies logits of ids that occurred in prompt or answer; 1 for none.
  public var repetitionPenalty: Float = 1
  /// Taken from logits of ids that occurred in the answer.
  public var presencePenalty: Float = 0
  /// Taken from logits of ids in the answer for each time.
  public var frequencyPenalty: Float = 0
  /// No run of so many ids occurs twice; 0 allows any.
  public var noRepeatNgramSize = 0
  /// Seed of the draws.
  public var seed: UInt64 = 0

  /// Draws from the model's own distribution unless told otherwise.
  public init() {}

  /// Always the most probable token.
  public static var greedy: SamplingOptions {
    var options = SamplingOptions()
    options.temperature = 0
    return options
  }

  /// Whether every choice is the most probable token.
  public var isGreedy: Bool { temperature == 0 }

  /// Applies the penalties and filters in transformers' order: penalties, temperature, top-k, top-p, min-p, typical.
  ///
  /// - Parameters:
  ///   - previous: ids of prompt and answer so far.
  ///   - promptCount: how many of them are the prompt, which presence and frequency penalties leave out.
  public func process(_ logits: inout [Float], previous: [Int32], promptCount: Int = 0) {
    if repetitionPenalty != 1 { Penalty.repetition(&logits, previous: previous, penalty: repetitionPenalty) }
    if presencePenalty != 0 || frequencyPenalty != 0 {
      Penalty.occurrence(
        &logits, previous: Array(previous.dropFirst(promptCount)), presence: presencePenalty, frequency: frequencyPenalty)
    }
    if noRepeatNgramSize > 0 { Penalty.noRepeat(&logits, previous: previous, size: noRepeatNgramSize) }
    guard !isGreedy else { return }
    if temperature != 1 { Filter.temperature(&logits, temperature) }
    if topK > 0 { Filter.topK(&logits, topK) }
    if topP < 1 { Filter.topP(&logits, topP) }
    if minP > 0 { Filter.minP(&logits, minP) }
    if typicalP < 1 { Filter.typical(&logits, typicalP) }
  }
}

/// Chooses the next token.
///
/// - Parameters:
///   - logits: [vocabulary] of the last position.
///   - previous: ids of prompt and answer so far; `promptCount` of them are the prompt.
///   - random: the sequence's stream; the draw depends on it and `position` only, not on what else is generated.
///   - position: the place of the new token in the sequence.
/// - Returns: the token, and its log-probability under the model's own distribution (before penalties, temperature and filters).
///   At equal logits the lower id is taken.
public func sample(
  logits: [Float], previous: [Int32], promptCount: Int = 0, options: SamplingOptions, random: Random, position: Int
) -> (token: Int32, logProbability: Float) {
  precondition(!logits.isEmpty, "a token cannot be chosen from no logits")
  var processed = logits
  options.process(&processed, previous: previous, promptCount: promptCount)
  let token = options.isGreedy ? mostProbable(processed) : draw(processed, at: random.uniform(UInt64(position)))
  let lse = logits.withUnsafeBufferPointer { $0.baseAddress.map { swiftlet_log_sum($0, logits.count) } ?? 0 }
  return (Int32(token), logits[token] - lse)
}

/// The place of the largest value; the first of equals.
func mostProbable(_ logits: [Float]) -> Int {
  var best = 0
  for i in logits.indices where logits[i] > logits[best] { best = i }
  return best
}

/// The token at `point` ∈ [0, 1) of the cumulative distribution, tokens in ascending order.
private func draw(_ logits: [Float], at point: Float) -> Int {
  let weights = Filter.softmax(logits)
  let goal = Double(point) * weights.reduce(0.0) { $0 + Double($1) }
  var (total, last) = (0.0, 0)
  for (id, weight) in weights.enumerated() where weight > 0 {
    total += Double(weight)
    last = id
    if total > goal { break }
  }
  return last
}
