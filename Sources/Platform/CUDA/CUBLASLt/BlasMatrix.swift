/// Number formats that cuBLASLt multiplies.
public enum BlasType: Int32, Hashable, Sendable {
  // The values are those of cudaDataType.
  case float32 = 0
  case float16 = 2
  case bfloat16 = 14

  /// Bytes of one number.
  public var size: Int { self == .float32 ? 4 : 2 }

  var shortName: String {
    switch self {
    case .float32: "fp32"
    case .float16: "fp16"
    case .bfloat16: "bf16"
    }
  }
}

/// A matrix on the GPU, row-major: element (i, j) is at `i · stride + j`, or at `j · stride + i` where transposed.
public struct BlasMatrix: Sendable {
  /// The first element.
  public let pointer: DevicePointer
  /// The format.
  public let type: BlasType
  /// Elements from one stored row to the next.
  public let stride: Int
  /// Whether the stored rows are the columns.
  public let transposed: Bool

  /// A matrix of `type` numbers.
  public init(_ pointer: DevicePointer, _ type: BlasType, stride: Int, transposed: Bool = false) {
    (self.pointer, self.type, self.stride, self.transposed) = (pointer, type, stride, transposed)
  }

  /// The same with all names.
  public init(pointer: DevicePointer, type: BlasType, stride: Int, transposed: Bool = false) {
    self.init(pointer, type, stride: stride, transposed: transposed)
  }

  // The alignment of the address, 256 bytes at most: algorithms depend on it.
  var alignment: UInt32 { pointer.address == 0 ? 256 : 1 << UInt32(min(8, pointer.address.trailingZeroBitCount)) }
}
