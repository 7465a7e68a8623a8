/// GPT-2's alphabet: every byte has a visible character, so that byte-level tokens can be written as text.
enum ByteAlphabet {
  /// The scalar of each byte.
  static let scalars: [UInt32] = {
    var table = [UInt32](repeating: 0, count: 256)
    var extra: UInt32 = 256
    for byte in UInt32(0)...255 {
      if (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte) {
        table[Int(byte)] = byte
      } else {
        table[Int(byte)] = extra
        extra += 1
      }
    }
    return table
  }()

  /// The byte of each scalar up to 323; -1 for those outside the alphabet.
  private static let bytes: [Int16] = {
    var table = [Int16](repeating: -1, count: 324)
    for (byte, scalar) in scalars.enumerated() { table[Int(scalar)] = Int16(byte) }
    return table
  }()

  /// The byte that a scalar stands for.
  @inline(__always)
  static func byte(_ scalar: UInt32) -> UInt8? {
    guard scalar < 324 else { return nil }
    let byte = bytes[Int(scalar)]
    return byte < 0 ? nil : UInt8(byte)
  }

  /// The bytes that a token stands for; nil where it holds anything outside the alphabet.
  static func decode(_ token: some Collection<UInt8>) -> [UInt8]? {
    var result: [UInt8] = []
    result.reserveCapacity(token.count)
    for scalar in Array(token).scalars {
      guard let byte = byte(scalar) else { return nil }
      result.append(byte)
    }
    return result
  }

  /// The text of bytes.
  static func encode(_ bytes: some Sequence<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    for byte in bytes { result.append(scalar: scalars[Int(byte)]) }
    return result
  }
}
