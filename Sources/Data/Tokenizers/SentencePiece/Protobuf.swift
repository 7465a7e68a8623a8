/// The fields of one protobuf message, read one after the other. Never reads past its end.
struct ProtobufReader {
  enum Value {
    case number(UInt64)
    case bytes(ArraySlice<UInt8>)
    case fixed(UInt32)
    case other
  }

  let file: String
  private var bytes: ArraySlice<UInt8>

  init(_ bytes: ArraySlice<UInt8>, file: String) {
    self.bytes = bytes
    self.file = file
  }

  private func failure(_ message: String) -> TokenizerError {
    TokenizerError(file: file, field: "byte \(bytes.startIndex)", message)
  }

  /// The next field; nil at the end.
  mutating func next() throws -> (field: Int, value: Value)? {
    guard !bytes.isEmpty else { return nil }
    let tag = try varint()
    let field = Int(truncatingIfNeeded: tag >> 3)
    switch tag & 7 {
    case 0: return (field, .number(try varint()))
    case 1:
      _ = try take(8)
      return (field, .other)
    case 2:
      let length = try varint()
      guard let count = Int(exactly: length), count <= bytes.count else {
        throw failure("a field of \(length) bytes is announced, \(bytes.count) are left: the file is cut short or damaged")
      }
      return (field, .bytes(try take(count)))
    case 5: return (field, .fixed(try take(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }))
    default: throw failure("wire type \(tag & 7) is not known: this is no protobuf file, or it is damaged")
    }
  }

  private mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
    guard count <= bytes.count else { throw failure("\(count) bytes are wanted, \(bytes.count) are left: the file is cut short") }
    defer { bytes = bytes.dropFirst(count) }
    return bytes.prefix(count)
  }

  private mutating func varint() throws -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard let byte = bytes.popFirst() else { throw failure("a number without an end: the file is cut short") }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    throw failure("a number of more than 10 bytes")
  }
}

extension ProtobufReader.Value {
  var bool: Bool? { if case .number(let value) = self { value != 0 } else { nil } }
  var int: Int? { if case .number(let value) = self { Int(truncatingIfNeeded: Int64(bitPattern: value)) } else { nil } }
  var slice: ArraySlice<UInt8>? { if case .bytes(let value) = self { value } else { nil } }
  var float: Float? { if case .fixed(let value) = self { Float(bitPattern: value) } else { nil } }
}
