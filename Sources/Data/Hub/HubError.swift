/// Why a model or data set could not be found on this machine.
public struct HubError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was asked for.
  public let name: String
  /// What was looked for, what was found, what to do.
  public let message: String
  /// `name: message`.
  public var description: String { "\(name): \(message)" }
}
