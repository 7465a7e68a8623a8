/// Where to compute.
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

  /// `cpu` or `cuda:N`.
  public var description: String {
    switch self {
    case .cpu: "cpu"
    case .cuda(let number): "cuda:\(number)"
    }
  }

  /// - Throws: `Failure` where this build cannot compute there.
  public func check() throws {
    if case .cuda = self {
      throw Failure(
        "no CUDA device", at: "--device \(self)", why: "this build computes on the CPU only", fix: "leave --device out, or say --device cpu"
      )
    }
  }
}
