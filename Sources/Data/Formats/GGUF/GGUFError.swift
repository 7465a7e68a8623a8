/// Why a GGUF file is refused.
public struct GGUFError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file.
  public let file: String
  /// Where in the file: `magic`, `version`, `key count`, `key "…"`, `tensor "…"`, …
  public let place: String
  /// What was wanted and what was found.
  public let message: String

  /// `file: place: message`.
  public var description: String { "\(file): \(place): \(message)" }

  package init(_ file: String, _ place: String, _ message: String) {
    self.file = file
    self.place = place
    self.message = message
  }
}
