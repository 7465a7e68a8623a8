import SwiftletTensorCore

/// Stochastic gradient descent with momentum, as PyTorch computes it.
public enum SGD {
  /// One step, in place: g ← g + λp; b ← μb + (1 − d)g (b = g at the first step); p ← p − η·(b, or g + μb with Nesterov).
  /// - Parameter momentumBuffer: nil without momentum; its contents do not matter at step 1.
  public static func update(
    parameter: Tensor, gradient: Tensor, momentumBuffer: Tensor? = nil, step: Int, learningRate: Float, momentum: Float = 0,
    dampening: Float = 0, weightDecay: Float = 0, nesterov: Bool = false, gradientScale: Float = 1
  ) {
    check(parameter, [gradient] + [momentumBuffer].compactMap { $0 })
    let (p, g, buffer) = (parameter.pointer, gradient.pointer, momentumBuffer?.pointer)
    forElements(parameter.count) { range in
      for i in range {
        var slope = g[i] * gradientScale + weightDecay * p[i]
        if let buffer {
          buffer[i] = step == 1 ? slope : momentum * buffer[i] + (1 - dampening) * slope
          slope = nesterov ? slope + momentum * buffer[i] : buffer[i]
        }
        p[i] -= learningRate * slope
      }
    }
  }
}

/// RMSprop (Hinton, 2012), as PyTorch computes it.
public enum RMSprop {
  /// One step, in place: s ← αs + (1 − α)g²; p ← p − ηg / (√(s − ḡ²) + ε), ḡ only where `mean` is given (centred).
  /// - Parameters:
  ///   - square: s, begins as zeros; `mean` and `momentumBuffer` alike.
  public static func update(
    parameter: Tensor, gradient: Tensor, square: Tensor, mean: Tensor? = nil, momentumBuffer: Tensor? = nil, learningRate: Float,
    alpha: Float = 0.99, epsilon: Float = 1e-8, weightDecay: Float = 0, momentum: Float = 0, gradientScale: Float = 1
  ) {
    check(parameter, [gradient, square] + [mean, momentumBuffer].compactMap { $0 })
    let (p, g, s) = (parameter.pointer, gradient.pointer, square.pointer)
    let (centre, buffer) = (mean?.pointer, momentumBuffer?.pointer)
    let gain = Float(1 - (Double("\(alpha)") ?? Double(alpha)))
    forElements(parameter.count) { range in
      for i in range {
        let slope = g[i] * gradientScale + weightDecay * p[i]
        s[i] = alpha * s[i] + gain * slope * slope
        var variance = s[i]
        if let centre {
          centre[i] += gain * (slope - centre[i])
          variance -= centre[i] * centre[i]
        }
        var move = slope / (variance.squareRoot() + epsilon)
        if let buffer {
          buffer[i] = momentum * buffer[i] + move
          move = buffer[i]
        }
        p[i] -= learningRate * move
      }
    }
  }
}

/// Adagrad (Duchi et al., 2011), as PyTorch computes it.
public enum Adagrad {
  /// One step, in place: s ← s + g²; p ← p − η/(1 + (t − 1)·decay) · g / (√s + ε).
  /// - Parameter sum: s, begins as PyTorch's `initial_accumulator_value`, 0.
  public static func update(
    parameter: Tensor, gradient: Tensor, sum: Tensor, step: Int, learningRate: Float, rateDecay: Float = 0, epsilon: Float = 1e-10,
    weightDecay: Float = 0, gradientScale: Float = 1
  ) {
    check(parameter, [gradient, sum])
    let rate = learningRate / (1 + Float(step - 1) * rateDecay)
    let (p, g, s) = (parameter.pointer, gradient.pointer, sum.pointer)
    forElements(parameter.count) { range in
      for i in range {
        let slope = g[i] * gradientScale + weightDecay * p[i]
        s[i] += slope * slope
        p[i] -= rate * slope / (s[i].squareRoot() + epsilon)
      }
    }
  }
}

/// Lion (Chen et al., 2023).
public enum Lion {
  /// One step, in place: p ← p(1 − ηλ) − η·sign(β₁m + (1 − β₁)g); m ← β₂m + (1 − β₂)g.
  /// - Parameter m: begins as zeros.
  public static func update(
    parameter: Tensor, gradient: Tensor, m: Tensor, learningRate: Float, beta1: Float = 0.9, beta2: Float = 0.99, weightDecay: Float = 0,
    gradientScale: Float = 1
  ) {
    check(parameter, [gradient, m])
    let (p, g, first) = (parameter.pointer, gradient.pointer, m.pointer)
    forElements(parameter.count) { range in
      for i in range {
        let slope = g[i] * gradientScale
        let direction = beta1 * first[i] + (1 - beta1) * slope
        let sign: Float = direction > 0 ? 1 : direction < 0 ? -1 : 0
        p[i] = p[i] * (1 - learningRate * weightDecay) - learningRate * sign
        first[i] = beta2 * first[i] + (1 - beta2) * slope
      }
    }
  }
}
