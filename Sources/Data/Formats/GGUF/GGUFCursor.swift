/// Reads a GGUF file's header from front to back; every length is compared with what is left before anything is allocated.
struct GGUFCursor {
  /// Arrays in arrays, at most.
  static let depthLimit = 4

  let file: String
  private let bytes: UnsafeRawBufferPointer
  private(set) var position = 0

  init(_ bytes: UnsafeRawBufferPointer, file: String) {
    self.bytes = bytes
    self.file = file
  }

  var left: Int { bytes.count - position }

  func error(_ place: String, _ message: String) -> GGUFError { GGUFError(file, place, message) }

  /// The next `count` bytes.
  mutating func take(_ count: Int, _ place: String) throws(GGUFError) -> UnsafeRawBufferPointer {
    guard count <= left else {
      throw error(place, "\(count) bytes are wanted at byte \(position), the file has \(left) more: a download cut short?")
    }
    defer { position += count }
    return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
  }

  mutating func integer<Value: FixedWidthInteger>(_ place: String, _: Value.Type) throws(GGUFError) -> Value {
    Value(littleEndian: try take(MemoryLayout<Value>.size, place).loadUnaligned(as: Value.self))
  }

  /// A length or count, which comes as 64 bits.
  mutating func length(_ place: String, limit: Int, of what: String) throws(GGUFError) -> Int {
    let length = try integer(place, UInt64.self)
    guard length <= UInt64(limit) else { throw error(place, "\(length) \(what); at most \(limit) are possible here") }
    return Int(length)
  }

  mutating func string(_ place: String, limit: Int = .max) throws(GGUFError) -> String {
    let count = try length(place, limit: min(limit, max(0, left - 8)), of: "bytes of text")
    guard let text = String(validating: try take(count, place), as: UTF8.self) else { throw error(place, "text in UTF-8 is wanted") }
    return text
  }

  mutating func kind(_ place: String) throws(GGUFError) -> GGUFValue.Kind {
    let number = try integer(place, UInt32.self)
    guard let kind = GGUFValue.Kind(rawValue: number) else { throw error(place, "value type \(number) is unknown; 0 to 12 are known") }
    return kind
  }

  mutating func value(_ kind: GGUFValue.Kind, _ place: String, depth: Int) throws(GGUFError) -> GGUFValue {
    switch kind {
    case .uint8: return .uint8(try integer(place, UInt8.self))
    case .int8: return .int8(try integer(place, Int8.self))
    case .uint16: return .uint16(try integer(place, UInt16.self))
    case .int16: return .int16(try integer(place, Int16.self))
    case .uint32: return .uint32(try integer(place, UInt32.self))
    case .int32: return .int32(try integer(place, Int32.self))
    case .float32: return .float32(Float(bitPattern: try integer(place, UInt32.self)))
    case .bool: return .bool(try flag(place))
    case .string: return .string(try string(place))
    case .array: return .array(try array(place, depth: depth))
    case .uint64: return .uint64(try integer(place, UInt64.self))
    case .int64: return .int64(try integer(place, Int64.self))
    case .float64: return .float64(Double(bitPattern: try integer(place, UInt64.self)))
    }
  }

  private mutating func flag(_ place: String) throws(GGUFError) -> Bool {
    let byte = try integer(place, UInt8.self)
    guard byte <= 1 else { throw error(place, "a Boolean is 0 or 1, found \(byte)") }
    return byte == 1
  }

  private mutating func array(_ place: String, depth: Int) throws(GGUFError) -> GGUFArray {
    let kind = try kind(place)
    // A string is at least its length, an array its type and length.
    let least = kind.size ?? (kind == .string ? 8 : 12)
    let count = try length(place, limit: max(0, left - 8) / least, of: "elements")
    let start = position
    if let size = kind.size {
      let raw = try take(count * size, place)
      if kind == .bool, let bad = raw.first(where: { $0 > 1 }) { throw error(place, "a Boolean is 0 or 1, found \(bad)") }
    } else if kind == .string {
      for _ in 0..<count {
        let size = try length(place, limit: max(0, left - 8), of: "bytes of text")
        _ = try take(size, place)
      }
    } else {
      guard depth < Self.depthLimit else { throw error(place, "arrays nested deeper than \(Self.depthLimit)") }
      for _ in 0..<count { _ = try array(place, depth: depth + 1) }
    }
    return GGUFArray(kind: kind, count: count, bytes: Array(bytes[start..<position]))
  }
}
