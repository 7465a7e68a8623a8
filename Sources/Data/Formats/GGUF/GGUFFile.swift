import SwiftletCPU

/// A GGUF file, mapped read-only and checked. Bytes are read from the disk when they are touched.
public final class GGUFFile: Sendable {
  /// The path as it was given.
  public var path: String { mapped.path }
  /// Metadata and tensors.
  public let header: GGUFHeader
  /// The bytes of the whole file.
  package let mapped: MappedFile
  private let places: [ExactString: Int]
  private let keys: [ExactString: Int]

  /// Maps and checks a file; see `GGUFHeader`.
  /// - Throws: `FileError` where it cannot be read, `GGUFError` where it is not a whole GGUF file.
  public init(_ path: String) throws {
    let mapped = try MappedFile(path: path)
    self.mapped = mapped
    let header = try mapped.withBytes { try GGUFHeader(parsing: $0, file: path) }
    self.header = header
    places = Dictionary(header.tensors.enumerated().map { (ExactString($1.name), $0) }) { first, _ in first }
    keys = Dictionary(header.metadata.enumerated().map { (ExactString($1.key), $0) }) { first, _ in first }
  }

  /// Whether a path leads to a GGUF file, by its first bytes.
  public static func isAt(_ path: String) -> Bool {
    guard Files.kind(path) == .file, let file = try? FileDescriptor(reading: path) else { return false }
    return (try? file.bytes(at: 0, count: 4)) == Array("GGUF".utf8)
  }

  /// Tensors in the order of the file.
  public var tensors: [GGUFTensor] { header.tensors }

  /// The tensor called `name`; nil where there is none.
  public func tensor(_ name: String) -> GGUFTensor? { places[ExactString(name)].map { header.tensors[$0] } }

  /// The value of a key of the metadata; nil where there is none.
  public subscript(key: String) -> GGUFValue? { keys[ExactString(key)].map { header.metadata[$0].value } }

  /// The bytes of a tensor of this file. The pointer lives as long as this object or `mapped`: keep one of
  /// them.
  public func bytes(of tensor: GGUFTensor) -> UnsafeRawBufferPointer {
    precondition(tensor.range.upperBound <= mapped.count, "tensor \(tensor.name) of another file")
    return UnsafeRawBufferPointer(start: mapped.pointer + tensor.range.lowerBound, count: tensor.range.count)
  }
}
