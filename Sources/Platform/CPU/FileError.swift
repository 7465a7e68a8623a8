#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A file operation that the system refused.
public struct FileError: Error, Equatable, CustomStringConvertible {
  /// What was being done, for example "open".
  public let operation: String
  /// The file.
  public let path: String
  /// The system's error number, 0 where the file itself is at fault.
  public let code: Int32
  /// What is wrong.
  public let reason: String

  /// An error with the system's text for `code`, and advice where there is some.
  public init(_ operation: String, _ path: String, code: Int32) {
    let text = String(cString: strerror(code))
    let advice =
      switch code {
      case ENOSPC, EDQUOT: ": free some space or choose another folder"
      case ENOENT: ": check the path"
      case EACCES, EPERM, EROFS: ": check the permissions"
      default: ""
      }
    self.init(operation, path, code: code, reason: text + advice)
  }

  /// An error that the system has no number for.
  public init(_ operation: String, _ path: String, code: Int32 = 0, reason: String) {
    (self.operation, self.path, self.code, self.reason) = (operation, path, code, reason)
  }

  /// "cannot open /a/b: No such file or directory: check the path".
  public var description: String { "cannot \(operation) \(path): \(reason)" }
}
