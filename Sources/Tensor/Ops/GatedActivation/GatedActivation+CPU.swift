import CPlatform
import SwiftletCPU
import SwiftletTensorCore

extension swiftlet_activation {
  /// `f(gate) · up`
  func gate(_ gate: Tensor, _ up: Tensor) -> Tensor {
    if gate.device.isCUDA { return gateOnGPU(gate, up) }
    let output = Tensor(uninitialized: gate.shape)
    let (g, u, y) = (gate.pointer, up.pointer, output.pointer)
    forElements(gate.count) { range in
      let start = range.lowerBound
      swiftlet_gate(self, g + start, u + start, y + start, range.count)
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
      swiftlet_gate_backward(self, gate + start, up + start, dy + start, gateGradient + start, upGradient + start, range.count)
    }
  }
}
