/// CRC-32C (Castagnoli): catches every flipped bit and nearly every other damage. About 1.5 GB/s (eight tables).
package struct CRC32C: Sendable {
  private static let tables: [[UInt32]] = {
    var tables = [[UInt32]](repeating: [UInt32](repeating: 0, count: 256), count: 8)
    for byte in 0..<256 {
      var value = UInt32(byte)
      for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1 }
      tables[0][byte] = value
    }
    for byte in 0..<256 {
      for table in 1..<8 {
        let previous = tables[table - 1][byte]
        tables[table][byte] = previous >> 8 ^ tables[0][Int(previous & 0xFF)]
      }
    }
    return tables
  }()
  private static let flat: [UInt32] = tables.flatMap { $0 }

  private var state: UInt32 = 0xFFFF_FFFF

  package init() {}

  /// The checksum of all that was added.
  package var value: UInt32 { ~state }

  /// The checksum as eight lower-case hexadecimal digits.
  package var hex: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }

  package mutating func add(_ bytes: UnsafeRawBufferPointer) {
    state = CRC32C.flat.withUnsafeBufferPointer { table in
      var crc = state
      var at = 0
      while at + 8 <= bytes.count {
        let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)) ^ UInt64(crc)
        crc = 0
        for lane in 0..<8 { crc ^= table[(7 - lane) * 256 + Int(word >> UInt64(8 * lane) & 0xFF)] }
        at += 8
      }
      while at < bytes.count {
        crc = crc >> 8 ^ table[Int((crc ^ UInt32(bytes[at])) & 0xFF)]
        at += 1
      }
      return crc
    }
  }

  package mutating func add(_ bytes: [UInt8]) { bytes.withUnsafeBytes { add($0) } }

  package mutating func add(_ text: String) { add(Array(text.utf8)) }

  /// The checksum of a file.
  package static func ofFile(_ path: String) throws(FileError) -> String {
    var crc = CRC32C()
    try Files.stream(path) { crc.add($0) }
    return crc.hex
  }
}
