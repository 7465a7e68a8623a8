import Foundation
import SwiftletCPU
import SwiftletTensorCore

extension Tensor {
  /// Fills a float32 tensor with normally distributed numbers (Box–Muller on counter-based random words): element `i` depends on `random`
  /// and `i` only.
  public func fillNormal(mean: Float = 0, standardDeviation: Float, random: Random) {
    let target = floats
    forElements((target.count + 1) / 2) { range in
      for pair in range {
        let radius = (-2 * Foundation.log(1 - Double(random.uniform(UInt64(2 * pair))))).squareRoot()
        let angle = 2 * Double.pi * Double(random.uniform(UInt64(2 * pair + 1)))
        target[2 * pair] = mean + standardDeviation * Float(radius * Foundation.cos(angle))
        if 2 * pair + 1 < target.count { target[2 * pair + 1] = mean + standardDeviation * Float(radius * Foundation.sin(angle)) }
      }
    }
  }

  /// Fills a float32 tensor with numbers uniform in [low, high): element `i` depends on `random` and `i` only.
  public func fillUniform(_ low: Float, _ high: Float, random: Random) {
    let target = floats
    forElements(target.count) { range in
      for i in range { target[i] = low + (high - low) * random.uniform(UInt64(i)) }
    }
  }

  /// Fills a float32 matrix [out, in] as PyTorch's `kaiming_uniform_(a: √5)` does for linear layers: uniform in ±1/√in. LoRA's A begins so.
  public func fillKaimingUniform(random: Random) {
    let bound = 1 / Float(max(shape.columns, 1)).squareRoot()
    fillUniform(-bound, bound, random: random)
  }

  /// A matrix of normally distributed numbers.
  public static func normal(
    _ shape: Shape, standardDeviation: Float = 1, random: Random, part: MemoryPart = .activations
  ) -> Tensor {
    let tensor = Tensor(uninitialized: shape, part: part)
    tensor.fillNormal(standardDeviation: standardDeviation, random: random)
    return tensor
  }
}
