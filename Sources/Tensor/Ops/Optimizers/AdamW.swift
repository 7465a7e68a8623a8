import SwiftletTensorCore

/// Adam with decoupled weight decay (Loshchilov and Hutter, 2019), as PyTorch computes it.
public enum AdamW {
  /// One step, in place.
  ///
  /// m ← m + (1 − β₁)(g − m); v ← β₂v + (1 − β₂)g²; p ← p(1 − ηλ) − η/(1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε).
  ///
  /// - Parameters:
  ///   - parameter: float32, any shape; `gradient`, `m`, `v` alike. `m` and `v` begin as zeros.
  ///   - step: t, from 1 on.
  ///   - gradientScale: a factor on the gradient (clipping, accumulation).
  ///   - decoupled: false adds λp to the gradient instead (Adam with L2 regularisation).
  ///   - largest: AMSGrad's running maximum of v, begins as zeros; nil without AMSGrad.
  public static func update(
    parameter: Tensor, gradient: Tensor, m: Tensor, v: Tensor, step: Int, learningRate: Float, beta1: Float = 0.9, beta2: Float = 0.999,
    epsilon: Float = 1e-8, weightDecay: Float = 0.01, gradientScale: Float = 1, decoupled: Bool = true, largest: Tensor? = nil
  ) {
    check(parameter, [gradient, m, v] + [largest].compactMap { $0 })
    let correction1 = 1 - power(beta1, step)
    let root2 = Float((1 - power(beta2, step)).squareRoot())
    let rate = Float(Double(learningRate) / correction1)
    let keep = decoupled ? Float(1 - Double(learningRate) * Double(weightDecay)) : 1
    let l2 = decoupled ? 0 : weightDecay
    let (p, g, first, second, most) = (parameter.pointer, gradient.pointer, m.pointer, v.pointer, largest?.pointer)
    let (gain1, gain2) = (Float(1 - Double(beta1)), Float(1 - Double(beta2)))
    forElements(parameter.count) { range in
      for i in range {
        let slope = g[i] * gradientScale + l2 * p[i]
        first[i] += gain1 * (slope - first[i])
        second[i] = beta2 * second[i] + gain2 * slope * slope
        var variance = second[i]
        if let most {
          most[i] = max(most[i], variance)
          variance = most[i]
        }
        p[i] = p[i] * keep - rate * first[i] / (variance.squareRoot() / root2 + epsilon)
      }
    }
  }
}

/// βᵗ as PyTorch's scalar arithmetic has it: in float64 of the decimal that was written.
func power(_ base: Float, _ exponent: Int) -> Double {
  let base = Double("\(base)") ?? Double(base)
  return (0..<exponent).reduce(1.0) { result, _ in result * base }
}

/// Traps where a tensor has not the parameter's shape.
func check(_ parameter: Tensor, _ others: [Tensor]) {
  for other in others { precondition(other.shape == parameter.shape, "optimizer: \(other.shape) for a parameter \(parameter.shape)") }
}
