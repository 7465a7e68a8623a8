import SwiftletCPU

/// A tensor that will be written: name, type and shape.
public struct SafetensorsPlan: Hashable, Sendable {
  /// The tensor's name.
  public let name: String
  /// Type of its elements.
  public let dtype: SafetensorsDType
  /// Sizes, slowest first.
  public let shape: [Int]

  /// A tensor to write.
  public init(name: String, dtype: SafetensorsDType, shape: [Int]) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
  }

  /// The order in which Hugging Face's library writes: wide types first, so that every tensor is aligned; then by name.
  public static func aligned(_ plans: [SafetensorsPlan]) -> [SafetensorsPlan] {
    plans.sorted { a, b in
      a.dtype.bitCount != b.dtype.bitCount ? a.dtype.bitCount > b.dtype.bitCount : a.name.utf8.lexicographicallyPrecedes(b.name.utf8)
    }
  }
}

/// Writes one safetensors file in a stream: the header first, then the tensors' bytes in the order of the plan. The file appears under
/// its name only when `finish()` returns, and holds nothing but whole tensors then.
///
///     let writer = try SafetensorsWriter("adapter_model.safetensors", tensors: plans)
///     for plan in plans { try writer.append(bytes(plan)) }
///     try writer.finish()
public final class SafetensorsWriter {
  private let file: StreamedFile
  private let sizes: [(name: String, bytes: Int)]
  private var current = 0
  private var filled = 0

  /// Starts a file whose tensors are `tensors`, in this order.
  /// - Throws: `SafetensorsError` for a name that stands twice or is reserved, or a size that overflows; `FileError` of the disk.
  public init(_ path: String, tensors: [SafetensorsPlan], metadata: [(String, String)] = [("format", "pt")]) throws {
    let header = try Self.header(tensors, metadata, file: path)
    sizes = header.sizes
    file = try StreamedFile(path)
    let length = UInt64(header.text.utf8.count)
    try withUnsafeBytes(of: length.littleEndian) { try file.write($0) }
    try file.write(header.text)
    skipFilled()
  }

  private static func header(
    _ tensors: [SafetensorsPlan], _ metadata: [(String, String)], file: String
  ) throws(SafetensorsError) -> (text: String, sizes: [(name: String, bytes: Int)]) {
    var object = JSONObject()
    if !metadata.isEmpty { object["__metadata__"] = .object(JSONObject(metadata.map { ($0.0, .string($0.1)) })) }
    var sizes: [(name: String, bytes: Int)] = []
    var place = 0
    for tensor in tensors {
      guard let bytes = tensor.dtype.byteCount(of: tensor.shape) else {
        throw SafetensorsError(file: file, tensor: tensor.name, field: "shape", "\(tensor.shape) is too large")
      }
      let (end, overflow) = place.addingReportingOverflow(bytes)
      guard !overflow else { throw SafetensorsError(file: file, tensor: tensor.name, field: "shape", "the file would be too large") }
      guard tensor.name != "__metadata__", object[tensor.name] == nil else {
        throw SafetensorsError(file: file, tensor: tensor.name, field: "name", "stands twice or is reserved")
      }
      let offsets: JSON = .array([.int(place), .int(end)])
      object[tensor.name] = .object(
        JSONObject([("dtype", .string(tensor.dtype.rawValue)), ("shape", .array(tensor.shape.map { .int($0) })), ("data_offsets", offsets)])
      )
      sizes.append((tensor.name, bytes))
      place = end
    }
    var text = JSON.object(object).serialized()
    // Tensors start at a multiple of 8, as Hugging Face's library writes them.
    text += String(repeating: " ", count: (8 - text.utf8.count % 8) % 8)
    guard text.utf8.count <= SafetensorsHeader.lengthLimit else {
      throw SafetensorsError(
        file: file, field: "header length", "\(text.utf8.count) bytes; at most \(SafetensorsHeader.lengthLimit) are allowed")
    }
    return (text, sizes)
  }

  /// Appends bytes of the next tensor; a tensor may come in pieces, a piece belongs to one tensor.
  /// - Throws: `SafetensorsError` where there are more bytes than the plan says.
  public func append(_ bytes: UnsafeRawBufferPointer) throws {
    guard !bytes.isEmpty else { return }
    guard current < sizes.count else {
      throw SafetensorsError(file: file.path, field: "data", "\(bytes.count) bytes after the last tensor")
    }
    let wanted = sizes[current].bytes - filled
    guard bytes.count <= wanted else {
      throw SafetensorsError(file: file.path, tensor: sizes[current].name, field: "data", "\(bytes.count) bytes, \(wanted) are wanted")
    }
    try file.write(bytes)
    filled += bytes.count
    skipFilled()
  }

  private func skipFilled() {
    while current < sizes.count, filled == sizes[current].bytes {
      current += 1
      filled = 0
    }
  }

  /// Flushes to the disk and puts the file in place.
  /// - Throws: `SafetensorsError` that names the first tensor without its bytes; `FileError` of the disk.
  public func finish() throws {
    guard current == sizes.count else {
      let missing = sizes[current].bytes - filled
      throw SafetensorsError(file: file.path, tensor: sizes[current].name, field: "data", "\(missing) bytes are still missing")
    }
    try file.commit()
  }
}
