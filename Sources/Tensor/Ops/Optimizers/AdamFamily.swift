import Foundation
import SwiftletTensorCore

/// Adamax (Kingma and Ba, 2015), as PyTorch computes it.
public enum Adamax {
  /// One step, in place: m ← m + (1 − β₁)(g − m); u ← max(β₂u, |g| + ε); p ← p − η/(1 − β₁ᵗ) · m/u.
  /// - Parameters:
  ///   - m: begins as zeros; `largest` (u) alike.
  ///   - step: t, from 1 on.
  public static func update(
    parameter: Tensor, gradient: Tensor, m: Tensor, largest: Tensor, step: Int, learningRate: Float, beta1: Float = 0.9,
    beta2: Float = 0.999, epsilon: Float = 1e-8, weightDecay: Float = 0, gradientScale: Float = 1
  ) {
    check(parameter, [gradient, m, largest])
    let rate = Float(Double(learningRate) / (1 - power(beta1, step)))
    let (p, g, first, most) = (parameter.pointer, gradient.pointer, m.pointer, largest.pointer)
    forElements(parameter.count) { range in
      for i in range {
        let slope = g[i] * gradientScale + weightDecay * p[i]
        first[i] += (1 - beta1) * (slope - first[i])
        most[i] = max(beta2 * most[i], abs(slope) + epsilon)
        p[i] -= rate * first[i] / most[i]
      }
    }
  }
}

/// Adam with Nesterov momentum (Dozat, 2016), as PyTorch computes it.
public enum NAdam {
  /// One step, in place, with μₜ = β₁(1 − ½·0.96^(t·decay)): p ← p − η(1 − μₜ)/(1 − Πμ) · g/d − ημₜ₊₁/(1 − μₜ₊₁Πμ) · m/d,
  /// d = √(v/(1 − β₂ᵗ)) + ε.
  /// - Parameters:
  ///   - m: begins as zeros; `v` alike.
  ///   - step: t, from 1 on; the product of all μ so far is computed from it.
  ///   - decoupled: weight decay on the parameter instead of in the gradient.
  public static func update(
    parameter: Tensor, gradient: Tensor, m: Tensor, v: Tensor, step: Int, learningRate: Float, beta1: Float = 0.9, beta2: Float = 0.999,
    epsilon: Float = 1e-8, weightDecay: Float = 0, momentumDecay: Double = 4e-3, decoupled: Bool = false, gradientScale: Float = 1
  ) {
    check(parameter, [gradient, m, v])
    let momentum = { (t: Int) in Double(beta1) * (1 - 0.5 * Foundation.pow(0.96, Double(t) * momentumDecay)) }
    let product = (1...max(step, 1)).reduce(1.0) { $0 * momentum($1) }
    let next = momentum(step + 1)
    let slopeRate = Float(Double(learningRate) * (1 - momentum(step)) / (1 - product))
    let momentRate = Float(Double(learningRate) * next / (1 - product * next))
    let correction = Float(1 - power(beta2, step))
    let (keep, l2) = decoupled ? (1 - learningRate * weightDecay, 0) : (1, weightDecay)
    let (p, g, first, second) = (parameter.pointer, gradient.pointer, m.pointer, v.pointer)
    forElements(parameter.count) { range in
      for i in range {
        let slope = g[i] * gradientScale + l2 * p[i]
        first[i] += (1 - beta1) * (slope - first[i])
        second[i] = beta2 * second[i] + (1 - beta2) * slope * slope
        let divisor = (second[i] / correction).squareRoot() + epsilon
        p[i] = p[i] * keep - (slopeRate * slope + momentRate * first[i]) / divisor
      }
    }
  }
}

/// Rectified Adam (Liu et al., 2020), as PyTorch computes it.
public enum RAdam {
  /// One step, in place: as Adam times the rectification, or, while the variance of the second moment is not tractable (ρₜ ≤ 5), momentum
  /// alone.
  /// - Parameters:
  ///   - m: begins as zeros; `v` alike.
  ///   - step: t, from 1 on.
  ///   - decoupled: weight decay on the parameter instead of in the gradient.
  public static func update(
    parameter: Tensor, gradient: Tensor, m: Tensor, v: Tensor, step: Int, learningRate: Float, beta1: Float = 0.9, beta2: Float = 0.999,
    epsilon: Float = 1e-8, weightDecay: Float = 0, decoupled: Bool = false, gradientScale: Float = 1
  ) {
    check(parameter, [gradient, m, v])
    let decay = power(beta2, step)
    let longest = 2 / (1 - power(beta2, 1)) - 1
    let length = longest - 2 * Double(step) * decay / (1 - decay)
    let rate = Double(learningRate) / (1 - power(beta1, step))
    let rectification =
      length > 5 ? ((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length) * (1 - decay)).squareRoot() : nil
    let (keep, l2) = decoupled ? (1 - learningRate * weightDecay, 0) : (1, weightDecay)
    let (p, g, first, second) = (parameter.pointer, gradient.pointer, m.pointer, v.pointer)
    forElements(parameter.count) { range in
      for i in range {
        let slope = g[i] * gradientScale + l2 * p[i]
        first[i] += (1 - beta1) * (slope - first[i])
        second[i] = beta2 * second[i] + (1 - beta2) * slope * slope
        let scale = rectification.map { Float($0) / (second[i].squareRoot() + epsilon) } ?? 1
        p[i] = p[i] * keep - Float(rate) * first[i] * scale
      }
    }
  }
}

/// Adadelta (Zeiler, 2012), as PyTorch computes it.
public enum Adadelta {
  /// One step, in place: s ← ρs + (1 − ρ)g²; d = g·√(a + ε)/√(s + ε); a ← ρa + (1 − ρ)d²; p ← p − ηd.
  /// - Parameters:
  ///   - square: s, begins as zeros; `moves` (a) alike.
  public static func update(
    parameter: Tensor, gradient: Tensor, square: Tensor, moves: Tensor, learningRate: Float = 1, rho: Float = 0.9, epsilon: Float = 1e-6,
    weightDecay: Float = 0, gradientScale: Float = 1
  ) {
    check(parameter, [gradient, square, moves])
    let (p, g, s, a) = (parameter.pointer, gradient.pointer, square.pointer, moves.pointer)
    forElements(parameter.count) { range in
      for i in range {
        let slope = g[i] * gradientScale + weightDecay * p[i]
        s[i] = rho * s[i] + (1 - rho) * slope * slope
        let move = slope * (a[i] + epsilon).squareRoot() / (s[i] + epsilon).squareRoot()
        a[i] = rho * a[i] + (1 - rho) * move * move
        p[i] -= learningRate * move
      }
    }
  }
}
