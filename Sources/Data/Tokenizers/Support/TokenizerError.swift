/// Why a tokenizer file cannot be used, or why a text cannot be encoded.
public struct TokenizerError: Error, CustomStringConvertible, Hashable, Sendable {
  /// The file's name without folder; empty where the error comes from encoding.
  public let file: String
  /// The path of the field in the file, as in `model.merges[12]`; empty where the file as a whole is meant.
  public let field: String
  /// What was wanted and what was found.
  public let message: String

  /// An error about `field` of `file`.
  public init(file: String, field: String, _ message: String) {
    self.file = file
    self.field = field
    self.message = message
  }

  /// `file: field: message`, without the parts that are empty.
  public var description: String {
    [file, field, message].filter { !$0.isEmpty }.joined(separator: ": ")
  }

  static func encoding(_ message: String) -> TokenizerError { TokenizerError(file: "", field: "", message) }
}
