import SwiftletCUDA

/// Where numbers lie and are computed.
public enum Device: Hashable, Sendable, CustomStringConvertible {
  /// The processor.
  case cpu
  /// An NVIDIA GPU by number.
  case cuda(Int)

  /// Reads `cpu`, `cuda` or `cuda:N`; nil for anything else.
  public init?(_ text: String) {
    switch text {
    case "cpu": self = .cpu
    case "cuda": self = .cuda(0)
    default:
      guard text.hasPrefix("cuda:"), let number = Int(text.dropFirst(5)), number >= 0, !text.contains("+") else { return nil }
      self = .cuda(number)
    }
  }

  /// Whether this is a GPU.
  public var isCUDA: Bool { self != .cpu }

  /// The opened GPU.
  /// - Precondition: this is a GPU that `CUDADevice.open` can open; whoever puts tensors there has opened it before.
  public var gpu: CUDADevice {
    guard case .cuda(let number) = self else { preconditionFailure("a CUDA device is wanted, not the CPU") }
    do { return try CUDADevice.open(number) } catch { preconditionFailure("cuda:\(number) was used before it was opened: \(error)") }
  }

  /// `cpu` or `cuda:N`.
  public var description: String {
    switch self {
    case .cpu: "cpu"
    case .cuda(let number): "cuda:\(number)"
    }
  }
}
