/// The number format of a tensor's elements in memory.
public enum DType: String, Hashable, Sendable, CaseIterable {
  case float32, float16, bfloat16, int64, int32, int8, uint8

  /// Bytes of one element.
  public var size: Int {
    switch self {
    case .int64: 8
    case .float32, .int32: 4
    case .float16, .bfloat16: 2
    case .int8, .uint8: 1
    }
  }

  /// Whether elements are floating-point numbers.
  public var isFloat: Bool { self == .float32 || self == .float16 || self == .bfloat16 }
}

/// A Swift type whose values are the elements of a tensor as they lie in memory.
public protocol TensorElement: BitwiseCopyable {
  /// The format.
  static var dtype: DType { get }
}

extension Float: TensorElement {
  /// The format.
  public static var dtype: DType { .float32 }
}
extension Float16: TensorElement {
  /// The format.
  public static var dtype: DType { .float16 }
}
extension Int64: TensorElement {
  /// The format.
  public static var dtype: DType { .int64 }
}
extension Int32: TensorElement {
  /// The format.
  public static var dtype: DType { .int32 }
}
extension Int8: TensorElement {
  /// The format.
  public static var dtype: DType { .int8 }
}
extension UInt8: TensorElement {
  /// The format.
  public static var dtype: DType { .uint8 }
}

/// The upper 16 bits of a `Float`; Swift has no such type of its own.
public struct BFloat16: TensorElement, Hashable, Sendable {
  /// The format.
  public static var dtype: DType { .bfloat16 }
  /// Sign, 8 bits of exponent, 7 bits of fraction.
  public var bits: UInt16
  /// Takes the bits as they are.
  @inlinable public init(bits: UInt16) { self.bits = bits }
  /// Rounds to nearest, ties to even; NaN stays NaN.
  @inlinable public init(_ value: Float) {
    let word = value.bitPattern
    bits = value.isNaN ? UInt16(word >> 16) | 0x40 : UInt16((word &+ 0x7FFF &+ ((word >> 16) & 1)) >> 16)
  }
  /// The exact value.
  @inlinable public var float: Float { Float(bitPattern: UInt32(bits) << 16) }
}
