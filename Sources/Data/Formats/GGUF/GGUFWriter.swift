import SwiftletCPU

/// A tensor that a GGUF file will hold.
public struct GGUFPlan: Hashable, Sendable {
  /// The name, at most 63 bytes: llama.cpp takes no longer ones.
  public let name: String
  /// How its numbers are stored.
  public let type: GGUFType
  /// Sizes of the axes, the slowest first, as tensors have them.
  public let shape: [Int]

  /// A tensor.
  public init(name: String, type: GGUFType, shape: [Int]) {
    (self.name, self.type, self.shape) = (name, type, shape)
  }

  /// Bytes of the tensor; nil where they overflow or rows are no whole number of blocks.
  public var byteCount: Int? { type.byteCount(of: shape.reversed()) }
}

/// Writes a GGUF file of version 3, tensor after tensor; the file is there under its name only when it is whole.
public final class GGUFWriter {
  private static let alignment = 32
  private let file: StreamedFile
  private let sizes: [(name: String, bytes: Int)]
  private var current = 0
  private var filled = 0

  /// Starts a file whose tensors are `tensors`, in this order.
  /// - Throws: `GGUFError` for a name or key that stands twice or is too long, or sizes that do not go; `FileError` of the disk.
  public init(_ path: String, metadata: [(String, GGUFValue)], tensors: [GGUFPlan]) throws {
    let (header, sizes) = try Self.header(path, metadata, tensors)
    self.sizes = sizes
    file = try StreamedFile(path)
    try header.withUnsafeBytes { try file.write($0) }
    try skipFilled()
  }

  /// Bytes of the whole file.
  /// - Throws: as `init`.
  public static func byteCount(metadata: [(String, GGUFValue)], tensors: [GGUFPlan]) throws -> Int {
    let (header, sizes) = try header("", metadata, tensors)
    return sizes.reduce(header.count) { $0 + padded($1.bytes) }
  }

  private static func padded(_ count: Int) -> Int { (count + alignment - 1) / alignment * alignment }

  private static func header(
    _ path: String, _ metadata: [(String, GGUFValue)], _ tensors: [GGUFPlan]
  ) throws(GGUFError) -> (bytes: [UInt8], sizes: [(name: String, bytes: Int)]) {
    var bytes = Array("GGUF".utf8) + UInt32(3).ggufBytes
    bytes += UInt64(tensors.count).ggufBytes + UInt64(metadata.count).ggufBytes
    var seen = Set<ExactString>()
    for (key, value) in metadata {
      guard !key.isEmpty, key.utf8.count < GGUFHeader.nameLimit, seen.insert(ExactString(key)).inserted else {
        throw GGUFError(path, "key \"\(key.prefix(100))\"", "is empty, too long or stands twice")
      }
      bytes.append(gguf: key)
      bytes += value.kind.rawValue.ggufBytes
      bytes.append(gguf: value)
    }
    let sizes = try appendTensors(tensors, path, to: &bytes)
    bytes += [UInt8](repeating: 0, count: padded(bytes.count) - bytes.count)
    return (bytes, sizes)
  }

  private static func appendTensors(
    _ tensors: [GGUFPlan], _ path: String, to bytes: inout [UInt8]
  ) throws(GGUFError) -> [(name: String, bytes: Int)] {
    var sizes: [(name: String, bytes: Int)] = []
    var names = Set<ExactString>()
    var offset = 0
    for tensor in tensors {
      let place = "tensor \"\(tensor.name.prefix(100))\""
      guard (1...63).contains(tensor.name.utf8.count), names.insert(ExactString(tensor.name)).inserted else {
        throw GGUFError(path, place, "a name of 1 to 63 bytes that stands once is wanted")
      }
      guard tensor.shape.count <= 4, let count = tensor.byteCount, count < 1 << 60 else {
        throw GGUFError(
          path, place, "shape \(tensor.shape) of \(tensor.type): too large, or rows are no multiple of \(tensor.type.block.numbers)")
      }
      bytes.append(gguf: tensor.name)
      bytes += UInt32(tensor.shape.count).ggufBytes
      for size in tensor.shape.reversed() { bytes += UInt64(size).ggufBytes }
      bytes += tensor.type.rawValue.ggufBytes + UInt64(offset).ggufBytes
      sizes.append((tensor.name, count))
      let (next, overflow) = offset.addingReportingOverflow(padded(count))
      guard !overflow else { throw GGUFError(path, place, "the file would be too large") }
      offset = next
    }
    return sizes
  }

  /// Appends bytes of the next tensor; a tensor may come in pieces, a piece belongs to one tensor.
  /// - Throws: `GGUFError` where there are more bytes than the plan says.
  public func append(_ bytes: UnsafeRawBufferPointer) throws {
    guard !bytes.isEmpty else { return }
    guard current < sizes.count, bytes.count <= sizes[current].bytes - filled else {
      throw GGUFError(file.path, current < sizes.count ? "tensor \"\(sizes[current].name)\"" : "data", "\(bytes.count) bytes too many")
    }
    try file.write(bytes)
    filled += bytes.count
    try skipFilled()
  }

  private func skipFilled() throws {
    while current < sizes.count, filled == sizes[current].bytes {
      let padding = [UInt8](repeating: 0, count: Self.padded(filled) - filled)
      try padding.withUnsafeBytes { try file.write($0) }
      current += 1
      filled = 0
    }
  }

  /// Flushes to the disk and puts the file in place.
  /// - Throws: `GGUFError` that names the first tensor without its bytes; `FileError` of the disk.
  public func finish() throws {
    guard current == sizes.count else {
      throw GGUFError(file.path, "tensor \"\(sizes[current].name)\"", "\(sizes[current].bytes - filled) bytes are still missing")
    }
    try file.commit()
  }
}
