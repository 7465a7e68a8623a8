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
  /// What the memory belongs to: it lives until a product with the matrix is queued, and memory is given back behind that. Nil where the
  /// caller sees to it.
  public let owner: (any AnyObject & Sendable)?

  /// A matrix of `type` numbers.
  public init(
    _ pointer: DevicePointer, _ type: BlasType, stride: Int, transposed: Bool = false, owner: (any AnyObject & Sendable)? = nil
  ) {
    (self.pointer, self.type, self.stride, self.transposed, self.owner) = (pointer, type, stride, transposed, owner)
  }

  // The alignment of the address, 256 bytes at most: algorithms depend on it.
  var alignment: UInt32 { pointer.address == 0 ? 256 : 1 << UInt32(min(8, pointer.address.trailingZeroBitCount)) }
}
