import CPlatform
import SwiftletCPU

extension swiftlet_activation {
  /// `f(gate) · up`
  func gate(_ gate: UnsafePointer<Float>, _ up: UnsafePointer<Float>, count: Int, into y: UnsafeMutablePointer<Float>) {
    forElements(count) { range in
      let start = range.lowerBound
      swiftlet_gate(self, gate + start, up + start, y + start, range.count)
    }
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
