/// A value of a GGUF file's metadata.
public enum GGUFValue: Hashable, Sendable {
  case uint8(UInt8)
  case int8(Int8)
  case uint16(UInt16)
  case int16(Int16)
  case uint32(UInt32)
  case int32(Int32)
  case float32(Float)
  case bool(Bool)
  case string(String)
  case array(GGUFArray)
  case uint64(UInt64)
  case int64(Int64)
  case float64(Double)

  /// The types of values, by their numbers in the file.
  public enum Kind: UInt32, CaseIterable, Hashable, Sendable {
    case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

    /// Bytes of a value; nil for those of no fixed size.
    package var size: Int? {
      switch self {
      case .uint8, .int8, .bool: 1
      case .uint16, .int16: 2
      case .uint32, .int32, .float32: 4
      case .uint64, .int64, .float64: 8
      case .string, .array: nil
      }
    }
  }

  /// The type.
  public var kind: Kind {
    switch self {
    case .uint8: .uint8
    case .int8: .int8
    case .uint16: .uint16
    case .int16: .int16
    case .uint32: .uint32
    case .int32: .int32
    case .float32: .float32
    case .bool: .bool
    case .string: .string
    case .array: .array
    case .uint64: .uint64
    case .int64: .int64
    case .float64: .float64
    }
  }

  /// A whole number of any width; nil for others, and for what does not fit in 63 bits.
  public var int: Int? {
    switch self {
    case .uint8(let x): Int(x)
    case .int8(let x): Int(x)
    case .uint16(let x): Int(x)
    case .int16(let x): Int(x)
    case .uint32(let x): Int(x)
    case .int32(let x): Int(x)
    case .uint64(let x): Int(exactly: x)
    case .int64(let x): Int(x)
    default: nil
    }
  }

  /// A number of any type; nil for others.
  public var double: Double? {
    switch self {
    case .float32(let x): Double(x)
    case .float64(let x): x
    default: int.map { Double($0) }
    }
  }

  /// A Boolean; nil for others.
  public var bool: Bool? { if case .bool(let x) = self { x } else { nil } }
  /// A string; nil for others.
  public var string: String? { if case .string(let x) = self { x } else { nil } }
  /// An array; nil for others.
  public var array: GGUFArray? { if case .array(let x) = self { x } else { nil } }
}

/// An array of a GGUF file's metadata, kept as the bytes of the file: vocabularies have hundreds of thousands of elements.
public struct GGUFArray: Hashable, Sendable {
  /// The type of all elements.
  public let kind: GGUFValue.Kind
  /// Number of elements.
  public let count: Int
  /// The elements as they stand in the file.
  package let bytes: [UInt8]

  package init(kind: GGUFValue.Kind, count: Int, bytes: [UInt8]) {
    (self.kind, self.count, self.bytes) = (kind, count, bytes)
  }

  /// An array of strings.
  public init(_ strings: [String]) {
    var bytes: [UInt8] = []
    for string in strings { bytes.append(gguf: string) }
    self.init(kind: .string, count: strings.count, bytes: bytes)
  }

  /// An array of 32-bit integers.
  public init(_ integers: [Int32]) { self.init(kind: .int32, count: integers.count, bytes: integers.flatMap(\.ggufBytes)) }
  /// An array of single-precision numbers.
  public init(_ numbers: [Float]) { self.init(kind: .float32, count: numbers.count, bytes: numbers.flatMap { $0.bitPattern.ggufBytes }) }

  /// The elements; each costs the memory of a value. Nil where a string is not UTF-8.
  public var values: [GGUFValue]? {
    bytes.withUnsafeBytes { raw in
      var reader = GGUFCursor(raw, file: "")
      var values: [GGUFValue] = []
      values.reserveCapacity(count)
      for _ in 0..<count {
        guard let value = try? reader.value(kind, "", depth: 0) else { return nil }
        values.append(value)
      }
      return values
    }
  }

  /// The elements of an array of strings; nil for others, and where one is not UTF-8.
  public var strings: [String]? {
    guard kind == .string, let values else { return nil }
    return values.compactMap(\.string)
  }

  /// The elements of an array of whole numbers; nil for others.
  public var ints: [Int]? {
    guard let values else { return nil }
    let ints = values.compactMap(\.int)
    return ints.count == count ? ints : nil
  }

  /// The elements of an array of numbers; nil for others.
  public var doubles: [Double]? {
    guard let values else { return nil }
    let numbers = values.compactMap(\.double)
    return numbers.count == count ? numbers : nil
  }
}

extension FixedWidthInteger {
  var ggufBytes: [UInt8] { withUnsafeBytes(of: littleEndian) { Array($0) } }
}

extension [UInt8] {
  mutating func append(gguf string: String) {
    append(contentsOf: UInt64(string.utf8.count).ggufBytes)
    append(contentsOf: string.utf8)
  }

  mutating func append(gguf value: GGUFValue) {
    switch value {
    case .uint8(let x): append(x)
    case .int8(let x): append(UInt8(bitPattern: x))
    case .uint16(let x): append(contentsOf: x.ggufBytes)
    case .int16(let x): append(contentsOf: x.ggufBytes)
    case .uint32(let x): append(contentsOf: x.ggufBytes)
    case .int32(let x): append(contentsOf: x.ggufBytes)
    case .float32(let x): append(contentsOf: x.bitPattern.ggufBytes)
    case .bool(let x): append(x ? 1 : 0)
    case .string(let x): append(gguf: x)
    case .array(let x):
      append(contentsOf: x.kind.rawValue.ggufBytes)
      append(contentsOf: UInt64(x.count).ggufBytes)
      append(contentsOf: x.bytes)
    case .uint64(let x): append(contentsOf: x.ggufBytes)
    case .int64(let x): append(contentsOf: x.ggufBytes)
    case .float64(let x): append(contentsOf: x.bitPattern.ggufBytes)
    }
  }
}
