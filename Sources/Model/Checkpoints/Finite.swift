import SwiftletCPU
import SwiftletTensorCore

/// Refuses infinities and NaN before they are written.
enum Finite {
  /// - Parameters:
  ///   - first: where the tensor is part of one of `shape`, the place of its first element there.
  /// - Throws: an error naming the tensor and the first such place.
  static func check(_ tensor: Tensor, _ name: String, from first: Int = 0, of shape: Shape? = nil) throws {
    guard let place = firstBad(tensor) else { return }
    throw CheckpointError(
      name, "element \(first + place) of shape \(shape ?? tensor.shape) is infinite or not a number; nothing was written")
  }

  private static func firstBad(_ tensor: Tensor) -> Int? {
    switch tensor.dtype {
    case .float32: tensor.elements(Float.self).firstIndex { !$0.isFinite }
    case .float16: tensor.elements(Float16.self).firstIndex { !$0.isFinite }
    case .bfloat16: tensor.elements(BFloat16.self).firstIndex { $0.bits & 0x7F80 == 0x7F80 }
    default: nil
    }
  }
}
