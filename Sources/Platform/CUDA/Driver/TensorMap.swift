import CPlatform

/// How the tensor memory accelerator of Hopper and newer reads a tensor; a kernel takes it as `const __grid_constant__ CUtensorMap`-like
/// parameter of 128 bytes, aligned to 64.
public struct TensorMap: KernelArgument, @unchecked Sendable {
  /// Element types.
  public enum Element: Int32, Sendable {
    case uint8 = 0
    case uint16 = 1
    case uint32 = 2
    case int32 = 3
    case float16 = 6
    case float32 = 7
    case bfloat16 = 9
    case tfloat32 = 11

    /// Bytes of one element.
    public var size: Int {
      switch self {
      case .uint8: 1
      case .uint16, .float16, .bfloat16: 2
      case .uint32, .int32, .float32, .tfloat32: 4
      }
    }
  }

  /// How rows of the box are permuted in shared memory, by their width in bytes.
  public enum Swizzle: Int32, Sendable { case none, bytes32, bytes64, bytes128 }

  private typealias Words = (
    UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64
  )
  private var words: Words = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)

  /// 128 bytes.
  @inlinable public static var slotBytes: Int { 128 }

  /// No map: for a simulated GPU, which reads none.
  public static let none = TensorMap()
  private init() {}

  /// Encodes a map.
  ///
  /// - Parameters:
  ///   - pointer: the first element, aligned to 16 bytes.
  ///   - element: the element type.
  ///   - sizes: elements of each dimension, innermost first; 1 to 5 dimensions.
  ///   - strides: bytes between neighbours of each dimension but the innermost, multiples of 16.
  ///   - box: elements of each dimension that one copy moves, at most 256.
  ///   - swizzle: the permutation in shared memory; the box's innermost bytes are at most its width.
  /// Throws where the driver refuses: it is too old, or a rule above is broken. Elements outside of the tensor read as zero.
  public init(
    _ pointer: DevicePointer, _ element: Element, sizes: [Int], strides: [Int], box: [Int], swizzle: Swizzle = .none
  ) throws(CUDAError) {
    precondition(
      (1...5).contains(sizes.count) && strides.count == sizes.count - 1 && box.count == sizes.count,
      "a tensor map of \(sizes.count) sizes, \(strides.count) strides, \(box.count) box sides")
    let steps = [UInt32](repeating: 1, count: sizes.count)
    // The driver reads one stride a dimension but the innermost; a spare one keeps the list from being empty.
    let code = withUnsafeMutablePointer(to: &words) { words in
      words.withMemoryRebound(to: UInt64.self, capacity: 16) { words in
        swiftlet_tensor_map(
          words, element.rawValue, UInt32(sizes.count), pointer.address, sizes.map(UInt64.init), strides.map(UInt64.init) + [0],
          box.map(UInt32.init), steps, swizzle.rawValue, 2)
      }
    }
    if code != 0 {
      throw CUDAError(
        driver: code, wanted: "describe a tensor of \(element) \(sizes), strides \(strides), box \(box), swizzle \(swizzle) to the GPU")
    }
  }
}
