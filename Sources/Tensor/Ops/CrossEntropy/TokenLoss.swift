import CPlatform
import Foundation

/// The loss of one token from its logits: cross entropy and its variants.
///
/// With lse the log-sum of exponentials, p the probabilities, t the target and V the vocabulary:
/// `w·((1 − ε)·(lse − z_t) + ε·(lse − mean z)) + c·lse²`, w = p_t without gradient for dynamic fine-tuning, else 1.
public struct TokenLoss: Sendable, Hashable, Codable {
  /// ε: the share of the target that is spread over the whole vocabulary (PyTorch's `label_smoothing`).
  public var labelSmoothing: Float
  /// c: weight of the squared log-sum, which keeps logits near zero.
  public var zLoss: Float
  /// Dynamic fine-tuning (Wu et al., 2025): weighs each token's loss by its probability, without gradient through the weight.
  public var isDynamic: Bool

  /// Plain cross entropy unless told otherwise.
  public init(labelSmoothing: Float = 0, zLoss: Float = 0, isDynamic: Bool = false) {
    self.labelSmoothing = labelSmoothing
    self.zLoss = zLoss
    self.isDynamic = isDynamic
  }

  /// The loss of one row of logits, which its gradient times `seed` replaces where `gradient`.
  func evaluate(_ z: UnsafeMutablePointer<Float>, count: Int, target: Int, gradient: Bool, seed: Float = 1) -> Double {
    let lse = swiftlet_log_sum(z, count)
    let logProbability = z[target] - lse
    let weight = isDynamic ? Foundation.exp(logProbability) : 1
    var loss = -Double(logProbability)
    if labelSmoothing != 0 {
      let mean = Double(swiftlet_sum(z, count)) / Double(count)
      loss = (1 - Double(labelSmoothing)) * loss + Double(labelSmoothing) * (Double(lse) - mean)
    }
    let value = Double(weight) * loss + Double(zLoss) * Double(lse) * Double(lse)
    guard gradient else { return value }
    swiftlet_exponentials(z, lse, seed * (weight + 2 * zLoss * lse), count)
    z[target] -= seed * weight * (1 - labelSmoothing)
    if labelSmoothing != 0 {
      let share = seed * weight * labelSmoothing / Float(count)
      for j in 0..<count { z[j] -= share }
    }
    return value
  }
}
