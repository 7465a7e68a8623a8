import SwiftletCPU
import SwiftletTensorCore

/// The L2 norm of all gradients together, summed in float64 in blocks of 8192 elements in a fixed order.
public func gradientNorm(_ gradients: [Tensor]) -> Double {
  var total = 0.0
  for gradient in gradients {
    let values = gradient.floats
    total += parallelReduce(values.count, block: 8192, 0.0) { range in
      var lanes = SIMD8<Double>.zero
      var i = range.lowerBound
      while i + 8 <= range.upperBound {
        var part = SIMD8<Double>.zero
        for lane in 0..<8 { part[lane] = Double(values[i + lane]) }
        lanes += part * part
        i += 8
      }
      var sum = lanes.sum()
      while i < range.upperBound {
        sum += Double(values[i]) * Double(values[i])
        i += 1
      }
      return sum
    } combine: {
      $0 + $1
    }
  }
  return total.squareRoot()
}

/// The factor that brings gradients of norm `norm` down to `maximum`, as PyTorch's `clip_grad_norm_`: min(1, maximum / (norm + 1e-6)).
public func clipFactor(norm: Double, maximum: Double) -> Float { Float(min(1, maximum / (norm + 1e-6))) }
