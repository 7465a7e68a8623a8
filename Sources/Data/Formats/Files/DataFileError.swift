import Glibc

/// A file or folder that could not be read or written: which one, and why.
public struct DataFileError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The path as it was given.
  public let path: String
  /// What was wanted and what was found.
  public let message: String
  /// `path: message`.
  public var description: String { "\(path): \(message)" }

  /// An error of a path.
  public init(path: String, message: String) {
    self.path = path
    self.message = message
  }

  /// An error of a path with the system's words for `errno`.
  package init(path: String, doing action: String, errno code: Int32) {
    self.init(path: path, message: "cannot \(action): \(String(cString: strerror(code)))")
  }
}
