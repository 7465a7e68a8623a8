/// What a check measured.
public struct CheckResult: Sendable, CustomStringConvertible {
  /// What was checked.
  public let name: String
  /// The largest error found.
  public let error: Double
  /// The largest error allowed.
  public let tolerance: Double

  /// A measured error beside its bound.
  public init(name: String, error: Double, tolerance: Double) {
    self.name = name
    self.error = error
    self.tolerance = tolerance
  }

  /// Whether the error is within its bound; NaN is not.
  public var passed: Bool { error <= tolerance }
  /// `rmsNorm 33×127: error 1e-7, allowed 2e-7: passed`
  public var description: String { "\(name): error \(error), allowed \(tolerance): \(passed ? "passed" : "FAILED")" }
}

/// A check of one op that needs nothing but this machine: tests run it, and `swiftlet doctor --selftest`.
public struct SelfCheck: Sendable {
  /// The op and the case.
  public let name: String
  /// Runs the check.
  public let run: @Sendable () -> [CheckResult]

  /// A named check.
  public init(_ name: String, _ run: @escaping @Sendable () -> [CheckResult]) {
    self.name = name
    self.run = run
  }

  /// The checks of every room.
  public static var all: [SelfCheck] {
    linear + embedding + norms + rotary + attention + activations + elementwise + routing + losses
  }
}
