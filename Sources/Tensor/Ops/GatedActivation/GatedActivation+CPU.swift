import Foundation
import SwiftletCPU
import SwiftletTensorCore

/// An activation function and its derivative.
enum Activation {
  case silu, geluTanh, geluErf

  /// f(x) and f′(x)
  func valueAndSlope(_ x: Float) -> (Float, Float) {
    switch self {
    case .silu:
      let s = 1 / (1 + Foundation.exp(-x))
      return (x * s, s * (1 + x * (1 - s)))
    case .geluTanh:
      let c: Float = 0.797_884_56
      let t = Foundation.tanh(c * (x + 0.044715 * x * x * x))
      return (0.5 * x * (1 + t), 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x))
    case .geluErf:
      let cumulative = 0.5 * (1 + Foundation.erf(x * 0.707_106_78))
      return (x * cumulative, cumulative + x * 0.398_942_28 * Foundation.exp(-0.5 * x * x))
    }
  }

  /// `f(gate) · up`
  func gate(_ gate: UnsafePointer<Float>, _ up: UnsafePointer<Float>, count: Int, into y: UnsafeMutablePointer<Float>) {
    forElements(count) { range in
      for i in range { y[i] = valueAndSlope(gate[i]).0 * up[i] }
    }
  }

  /// Gradients of both inputs; the targets may be the inputs themselves.
  func backward(
    _ gate: UnsafePointer<Float>, _ up: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, count: Int,
    gate gateGradient: UnsafeMutablePointer<Float>, up upGradient: UnsafeMutablePointer<Float>
  ) {
    forElements(count) { range in
      for i in range {
        let (value, slope) = valueAndSlope(gate[i])
        gateGradient[i] = dy[i] * up[i] * slope
        upGradient[i] = dy[i] * value
      }
    }
  }
}
