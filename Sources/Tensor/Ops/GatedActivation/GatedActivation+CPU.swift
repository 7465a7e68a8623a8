import CPlatform
import SwiftletCPU
import SwiftletTensorCore

extension GateActivation {
  /// The activation joined with its gate.
  func gate(_ gate: Tensor, _ up: Tensor) -> Tensor {
    if gate.device.isCUDA { return gateOnGPU(gate, up) }
    let output = Tensor(uninitialized: gate.shape)
    let (g, u, y) = (gate.pointer, up.pointer, output.pointer)
    forElements(gate.count) { range in
      let start = range.lowerBound
      switch self {
      case .silu: swiftlet_gate(SWIFTLET_SILU, g + start, u + start, y + start, range.count)
      case .gelu(let kind): swiftlet_gate(kind.code, g + start, u + start, y + start, range.count)
      case .clampedSwish(let alpha, let limit): swiftlet_clamped_gate(alpha, limit, g + start, u + start, y + start, range.count)
      }
    }
    return output
  }

  /// Gradients of both inputs; the targets may be the inputs themselves.
  func backward(
    _ gate: UnsafePointer<Float>, _ up: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, count: Int,
    gate gateGradient: UnsafeMutablePointer<Float>, up upGradient: UnsafeMutablePointer<Float>
  ) {
    forElements(count) { range in
      let start = range.lowerBound
      let (g, u, d, dg, du) = (gate + start, up + start, dy + start, gateGradient + start, upGradient + start)
      switch self {
      case .silu: swiftlet_gate_backward(SWIFTLET_SILU, g, u, d, dg, du, range.count)
      case .gelu(let kind): swiftlet_gate_backward(kind.code, g, u, d, dg, du, range.count)
      case .clampedSwish(let alpha, let limit): swiftlet_clamped_gate_backward(alpha, limit, g, u, d, dg, du, range.count)
      }
    }
  }
}

extension GELU {
  /// As C numbers it.
  fileprivate var code: swiftlet_activation { self == .tanh ? SWIFTLET_GELU_TANH : SWIFTLET_GELU_ERF }
}
