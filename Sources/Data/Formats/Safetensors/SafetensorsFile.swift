import SwiftletCPU

/// A safetensors file, mapped read-only and checked. Bytes are read from the disk when they are touched.
///
///     let file = try SafetensorsFile("model.safetensors")
///     for entry in file.entries { print(entry.name, entry.dtype, entry.shape, file.bytes(of: entry).count) }
public final class SafetensorsFile: Sendable {
  /// The path as it was given.
  public var path: String { mapped.path }
  /// Tensors in the order of their bytes.
  public let entries: [SafetensorsEntry]
  /// `__metadata__`.
  public let metadata: [String: String]
  /// The bytes of the whole file.
  package let mapped: MappedFile
  private let places: [ExactString: Int]

  /// Maps and checks a file; see `SafetensorsHeader`.
  /// - Throws: `FileError` where it cannot be read, `SafetensorsError` where it is not a whole, strict safetensors file.
  public init(_ path: String) throws {
    let mapped = try MappedFile(path: path)
    self.mapped = mapped
    let header = try mapped.withBytes { try SafetensorsHeader(parsing: $0, file: path) }
    entries = header.entries
    metadata = Dictionary(header.metadata.map { ($0.key, $0.value) }) { first, _ in first }
    places = Dictionary(header.entries.enumerated().map { (ExactString($1.name), $0) }) { first, _ in first }
  }

  /// The tensor called `name`, in constant time.
  public subscript(name: String) -> SafetensorsEntry? { places[ExactString(name)].map { entries[$0] } }

  /// The bytes of an entry of this file, little-endian, perhaps not aligned. The pointer lives as long as this object or `mapped`: keep
  /// one of them.
  public func bytes(of entry: SafetensorsEntry) -> UnsafeRawBufferPointer {
    precondition(entry.range.upperBound <= mapped.count, "entry \(entry.name) of another file")
    return UnsafeRawBufferPointer(start: mapped.pointer + entry.range.lowerBound, count: entry.range.count)
  }
}
