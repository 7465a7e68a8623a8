/// Why a safetensors file, index or folder is refused.
public struct SafetensorsError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file or folder.
  public let file: String
  /// The tensor, where the error is about one.
  public let tensor: String?
  /// The field of the format: `header length`, `header`, `__metadata__`, `dtype`, `shape`, `data_offsets`, `weight_map`, …
  public let field: String
  /// What was wanted and what was found.
  public let message: String

  /// `file: tensor "name": field: message`.
  public var description: String {
    let place = tensor.map { "tensor \"\($0)\": " } ?? ""
    return "\(file): \(place)\(field): \(message)"
  }

  package init(file: String, tensor: String? = nil, field: String, _ message: String) {
    self.file = file
    self.tensor = tensor
    self.field = field
    self.message = message
  }
}
