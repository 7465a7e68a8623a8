import CPlatform
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
    let constants = swiftlet_adamw(
      gradient_scale: gradientScale, l2: decoupled ? 0 : weightDecay, gain1: Float(1 - Double(beta1)), beta2: beta2,
      gain2: Float(1 - Double(beta2)), keep: decoupled ? Float(1 - Double(learningRate) * Double(weightDecay)) : 1,
      rate: Float(Double(learningRate) / (1 - power(beta1, step))), root2: Float((1 - power(beta2, step)).squareRoot()), epsilon: epsilon)
    let (p, g, first, second) = (parameter.pointer, gradient.pointer, m.pointer, v.pointer)
    guard let largest else {
      forElements(parameter.count) { range in
        let start = range.lowerBound
        withUnsafePointer(to: constants) { swiftlet_adamw($0, p + start, g + start, first + start, second + start, range.count) }
      }
      return
    }
    amsgrad(constants, p, g, first, second, largest.pointer, parameter.count)
  }

  private static func amsgrad(
    _ o: swiftlet_adamw, _ p: UnsafeMutablePointer<Float>, _ g: UnsafePointer<Float>, _ m: UnsafeMutablePointer<Float>,
    _ v: UnsafeMutablePointer<Float>, _ largest: UnsafeMutablePointer<Float>, _ count: Int
  ) {
    for i in 0..<count {
      let slope = g[i] * o.gradient_scale + o.l2 * p[i]
      m[i] += o.gain1 * (slope - m[i])
      v[i] = o.beta2 * v[i] + o.gain2 * slope * slope
      largest[i] = max(largest[i], v[i])
      p[i] = p[i] * o.keep - o.rate * m[i] / (largest[i].squareRoot() / o.root2 + o.epsilon)
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
