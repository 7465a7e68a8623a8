/// One tensor of a safetensors file: name, type, shape and place. Knows nothing of the numbers.
public struct SafetensorsEntry: Hashable, Sendable {
  /// The tensor's name.
  public let name: String
  /// Type of its elements.
  public let dtype: SafetensorsDType
  /// Sizes, slowest first; empty for one number.
  public let shape: [Int]
  /// Its bytes, counted from the start of the file.
  public let range: Range<Int>
}

/// The checked header of a safetensors file.
public struct SafetensorsHeader: Sendable {
  /// Tensors in the order of their bytes.
  public let entries: [SafetensorsEntry]
  /// `__metadata__` in file order.
  public let metadata: [(key: String, value: String)]

  /// The longest header that is read, in bytes.
  public static let lengthLimit = 100_000_000

  /// Reads the header out of a whole file and proves that its tensors fill the rest exactly: no hole, no overlap, nothing behind.
  /// - Parameter file: the file's name, for errors.
  /// - Throws: `SafetensorsError` that names tensor and field.
  public init(parsing bytes: UnsafeRawBufferPointer, file: String) throws(SafetensorsError) {
    let length = try Self.headerLength(bytes, file: file)
    let text = UnsafeRawBufferPointer(rebasing: bytes[8..<(8 + length)])
    guard text.first == UInt8(ascii: "{") else {
      throw SafetensorsError(file: file, field: "header", "JSON starting with '{' is wanted at byte 8")
    }
    let json: JSON
    do throws(JSONError) { json = try JSON(parsing: text) } catch {
      throw SafetensorsError(file: file, field: "header", "not JSON, at \(error)")
    }
    guard let object = json.object else { throw SafetensorsError(file: file, field: "header", "an object is wanted") }
    var entries: [SafetensorsEntry] = []
    var metadata: [(key: String, value: String)] = []
    for (name, value) in object {
      if name.utf8.elementsEqual("__metadata__".utf8) {
        metadata = try Self.metadata(value, file: file)
      } else {
        entries.append(try Self.entry(name, value, dataStart: 8 + length, file: file))
      }
    }
    self.entries = try Self.inOrder(entries, from: 8 + length, to: bytes.count, file: file)
    self.metadata = metadata
  }

  private static func headerLength(_ bytes: UnsafeRawBufferPointer, file: String) throws(SafetensorsError) -> Int {
    let field = "header length"
    guard bytes.count >= 8 else {
      throw SafetensorsError(file: file, field: field, "8 bytes are wanted, the file has \(bytes.count)")
    }
    let stored = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard let length = Int(exactly: stored), length <= lengthLimit else {
      throw SafetensorsError(file: file, field: field, "\(stored) bytes; at most \(lengthLimit) are allowed (is this a safetensors file?)")
    }
    guard length <= bytes.count - 8 else {
      throw SafetensorsError(file: file, field: field, "\(length) bytes, but only \(bytes.count - 8) follow (a download cut short?)")
    }
    guard length >= 2 else { throw SafetensorsError(file: file, field: field, "\(length) bytes; the shortest header, {}, has 2") }
    return length
  }

  private static func metadata(_ value: JSON, file: String) throws(SafetensorsError) -> [(key: String, value: String)] {
    guard let object = value.object else {
      throw SafetensorsError(file: file, field: "__metadata__", "an object of strings is wanted, found \(value.kind)")
    }
    var pairs: [(key: String, value: String)] = []
    for (key, value) in object {
      guard let text = value.string else {
        throw SafetensorsError(file: file, field: "__metadata__", "\"\(key)\" is \(value.kind), want a string")
      }
      pairs.append((key, text))
    }
    return pairs
  }

  private static func entry(_ name: String, _ value: JSON, dataStart: Int, file: String) throws(SafetensorsError) -> SafetensorsEntry {
    func fail(_ field: String, _ message: String) -> SafetensorsError {
      SafetensorsError(file: file, tensor: name, field: field, message)
    }
    guard let object = value.object else { throw fail("header", "an object is wanted, found \(value.kind)") }
    guard let dtypeName = object["dtype"] else { throw fail("dtype", "missing") }
    guard let dtypeText = dtypeName.string else { throw fail("dtype", "a string is wanted, found \(dtypeName.kind)") }
    guard let dtype = SafetensorsDType(rawValue: dtypeText) else {
      throw fail("dtype", "\"\(dtypeText)\" is unknown (known: \(SafetensorsDType.allCases.map(\.rawValue).joined(separator: " ")))")
    }
    let shape = try integers(object["shape"], "shape", fail)
    let offsets = try integers(object["data_offsets"], "data_offsets", fail)
    guard offsets.count == 2 else { throw fail("data_offsets", "two numbers are wanted, found \(offsets.count)") }
    guard offsets[0] <= offsets[1] else { throw fail("data_offsets", "the end \(offsets[1]) is before the start \(offsets[0])") }
    guard let wanted = dtype.byteCount(of: shape) else {
      throw fail("shape", "\(shape) of \(dtypeText) fills no whole number of bytes that fits in 63 bits")
    }
    guard wanted == offsets[1] - offsets[0] else {
      throw fail("data_offsets", "\(offsets[1] - offsets[0]) bytes, but shape \(shape) of \(dtypeText) needs \(wanted)")
    }
    let (end, overflow) = dataStart.addingReportingOverflow(offsets[1])
    guard !overflow else { throw fail("data_offsets", "\(offsets[1]) is too large") }
    return SafetensorsEntry(name: name, dtype: dtype, shape: shape, range: (dataStart + offsets[0])..<end)
  }

  private static func integers(
    _ value: JSON?, _ field: String, _ fail: (String, String) -> SafetensorsError
  ) throws(SafetensorsError) -> [Int] {
    guard let value else { throw fail(field, "missing") }
    guard let elements = value.array else { throw fail(field, "an array of integers is wanted, found \(value.kind)") }
    var result: [Int] = []
    for element in elements {
      guard case .int(let number) = element else { throw fail(field, "[\(result.count)] is \(element.kind), want a 63-bit integer") }
      guard number >= 0 else { throw fail(field, "[\(result.count)] is \(number), want no negative number") }
      result.append(number)
    }
    return result
  }

  private static func inOrder(
    _ entries: [SafetensorsEntry], from start: Int, to end: Int, file: String
  ) throws(SafetensorsError) -> [SafetensorsEntry] {
    let sorted = entries.enumerated().sorted { a, b in
      (a.element.range.lowerBound, a.element.range.upperBound, a.offset) < (
        b.element.range.lowerBound, b.element.range.upperBound, b.offset
      )
    }.map(\.element)
    var place = start
    for entry in sorted {
      if entry.range.upperBound > end {
        throw SafetensorsError(
          file: file, tensor: entry.name, field: "data_offsets",
          "ends at byte \(entry.range.upperBound), the file at \(end) (a download cut short?)")
      }
      if entry.range.lowerBound != place {
        let kind =
          entry.range.lowerBound > place ? "a hole of \(entry.range.lowerBound - place)" : "an overlap of \(place - entry.range.lowerBound)"
        throw SafetensorsError(file: file, tensor: entry.name, field: "data_offsets", "\(kind) bytes before this tensor")
      }
      place = entry.range.upperBound
    }
    guard place == end else {
      throw SafetensorsError(file: file, field: "data_offsets", "the last tensor ends at byte \(place), the file at \(end)")
    }
    return sorted
  }
}
