/// What can be passed to a kernel, by value. Its bytes are those of the kernel's parameter.
public protocol KernelArgument: BitwiseCopyable {
  /// Bytes that the argument takes in the block of arguments: 8, or a multiple of its alignment.
  static var slotBytes: Int { get }
}

extension KernelArgument {
  /// One word.
  @inlinable public static var slotBytes: Int { 8 }
}

extension DevicePointer: KernelArgument {}
extension Int32: KernelArgument {}
extension UInt32: KernelArgument {}
extension Int64: KernelArgument {}
extension UInt64: KernelArgument {}
extension Float: KernelArgument {}
