/// Writes the bytes of GGUF files, right and wrong ones.
struct GGUFBuilder {
  var bytes: [UInt8] = []

  /// A header that promises counts.
  init(magic: String = "GGUF", version: UInt32 = 3, tensors: UInt64 = 0, keys: UInt64 = 0) {
    bytes = Array(magic.utf8)
    put(version)
    put(tensors)
    put(keys)
  }

  mutating func put<Value: FixedWidthInteger>(_ value: Value) { withUnsafeBytes(of: value.littleEndian) { bytes += Array($0) } }

  mutating func text(_ text: String) {
    put(UInt64(text.utf8.count))
    bytes += Array(text.utf8)
  }

  func key(_ name: String, _ kind: UInt32, _ value: [UInt8] = []) -> GGUFBuilder {
    var copy = self
    copy.text(name)
    copy.put(kind)
    copy.bytes += value
    return copy
  }

  func tensor(
    _ name: String, _ sizes: [UInt64], type: UInt32 = 0, offset: UInt64 = 0, rank: UInt32? = nil
  ) -> GGUFBuilder {
    var copy = self
    copy.text(name)
    copy.put(rank ?? UInt32(sizes.count))
    for size in sizes { copy.put(size) }
    copy.put(type)
    copy.put(offset)
    return copy
  }

  /// Zeros up to the data, and as many behind.
  func data(_ count: Int, alignment: Int = 32) -> GGUFBuilder {
    var copy = self
    while copy.bytes.count % alignment != 0 { copy.bytes.append(0) }
    copy.bytes += [UInt8](repeating: 0, count: count)
    return copy
  }

  static func bytes<Value: FixedWidthInteger>(_ values: Value...) -> [UInt8] {
    values.flatMap { withUnsafeBytes(of: $0.littleEndian) { Array($0) } }
  }

  /// A length and text.
  static func string(_ text: String) -> [UInt8] { bytes(UInt64(text.utf8.count)) + Array(text.utf8) }

  /// The type and count of an array, and what stands behind.
  static func array(_ kind: UInt32, _ count: UInt64, _ elements: [UInt8] = []) -> [UInt8] { bytes(kind) + bytes(count) + elements }
}
