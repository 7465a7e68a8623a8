import SwiftletCPU
import SwiftletOps
import SwiftletTensorCore

/// What a parameter holds before anything was learnt.
public enum Initialization: Hashable, Sendable {
  case zeros
  case ones
  /// Normal with this standard deviation around 0.
  case normal(Float)
  /// Uniform in ±bound.
  case uniform(Float)

  /// Makes a float32 tensor. The same `random` gives the same numbers.
  func tensor(_ shape: Shape, _ random: Random, part: MemoryPart = .weights) -> Tensor {
    let tensor = Tensor(uninitialized: shape, part: part)
    switch self {
    case .zeros: tensor.floats.initialize(repeating: 0)
    case .ones: tensor.floats.initialize(repeating: 1)
    case .normal(let deviation): tensor.fillNormal(standardDeviation: deviation, random: random)
    case .uniform(let bound): tensor.fillUniform(-bound, bound, random: random)
    }
    return tensor
  }

  /// The same on the GPU of `placement`, in its compute format unless told otherwise, with numbers of its own.
  func tensor(
    _ shape: Shape, _ random: Random, _ placement: Placement, _ dtype: DType? = nil, part: MemoryPart = .weights
  ) -> Tensor {
    let tensor = Tensor(uninitialized: shape, dtype ?? placement.computeType, part: part, on: placement.device)
    switch self {
    case .zeros: tensor.draw(.constant, scale: 0, random)
    case .ones: tensor.draw(.constant, scale: 0, offset: 1, random)
    case .normal(let deviation): tensor.draw(.normal, scale: deviation, random)
    case .uniform(let bound): tensor.draw(.uniform, scale: bound, random)
    }
    return tensor
  }
}

/// A hash of a name's UTF-8 that is the same on every run and machine (FNV-1a, 64 bits): keys random streams by name.
package func stableHash(_ name: String) -> UInt64 {
  name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
}
