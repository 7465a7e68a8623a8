/// An address in the memory of a GPU.
public struct DevicePointer: Hashable, Sendable {
  /// The address as the driver gives it; 0 for none.
  public let address: UInt64
  /// Takes an address.
  @inlinable public init(_ address: UInt64) { self.address = address }
  /// No memory.
  public static let null = DevicePointer(0)
  /// The address `bytes` further on.
  @inlinable public static func + (pointer: DevicePointer, bytes: Int) -> DevicePointer {
    DevicePointer(pointer.address &+ UInt64(bitPattern: Int64(bytes)))
  }
}
