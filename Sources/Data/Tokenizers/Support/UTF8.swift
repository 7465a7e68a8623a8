/// UTF-8 that is known to be valid, read and written scalar by scalar.
typealias Bytes = UnsafeBufferPointer<UInt8>

extension UnsafeBufferPointer<UInt8> {
  /// Number of bytes of the scalar whose first byte is `lead`.
  @inline(__always)
  static func width(_ lead: UInt8) -> Int {
    lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
  }

  /// The scalar that starts at `at`, and where the next one starts. The bytes must be valid UTF-8.
  @inline(__always)
  func scalar(at: Int) -> (value: UInt32, next: Int) {
    let b0 = UInt32(self[at])
    if b0 < 0x80 { return (b0, at + 1) }
    let b1 = UInt32(self[at + 1]) & 0x3F
    if b0 < 0xE0 { return ((b0 & 0x1F) << 6 | b1, at + 2) }
    let b2 = UInt32(self[at + 2]) & 0x3F
    if b0 < 0xF0 { return ((b0 & 0x0F) << 12 | b1 << 6 | b2, at + 3) }
    return ((b0 & 0x07) << 18 | b1 << 12 | b2 << 6 | UInt32(self[at + 3]) & 0x3F, at + 4)
  }

  /// Where the scalar that ends before `at` starts; `at` must be over `low`.
  @inline(__always)
  func before(_ at: Int, low: Int) -> Int {
    var at = at - 1
    while at > low, self[at] & 0xC0 == 0x80 { at -= 1 }
    return at
  }
}

extension [UInt8] {
  /// Appends the scalar's UTF-8 form.
  @inline(__always)
  mutating func append(scalar c: UInt32) {
    if c < 0x80 {
      append(UInt8(truncatingIfNeeded: c))
    } else if c < 0x800 {
      append(UInt8(truncatingIfNeeded: 0xC0 | c >> 6))
      append(UInt8(truncatingIfNeeded: 0x80 | c & 0x3F))
    } else if c < 0x10000 {
      append(UInt8(truncatingIfNeeded: 0xE0 | c >> 12))
      append(UInt8(truncatingIfNeeded: 0x80 | c >> 6 & 0x3F))
      append(UInt8(truncatingIfNeeded: 0x80 | c & 0x3F))
    } else {
      append(UInt8(truncatingIfNeeded: 0xF0 | c >> 18))
      append(UInt8(truncatingIfNeeded: 0x80 | c >> 12 & 0x3F))
      append(UInt8(truncatingIfNeeded: 0x80 | c >> 6 & 0x3F))
      append(UInt8(truncatingIfNeeded: 0x80 | c & 0x3F))
    }
  }

  /// The scalars of valid UTF-8.
  var scalars: [UInt32] {
    var result: [UInt32] = []
    result.reserveCapacity(count)
    withUnsafeBufferPointer { bytes in
      var at = 0
      while at < bytes.count {
        let (c, next) = bytes.scalar(at: at)
        result.append(c)
        at = next
      }
    }
    return result
  }
}

/// Number of bytes of a scalar in UTF-8.
@inline(__always)
func utf8Width(_ c: UInt32) -> Int { c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4 }
