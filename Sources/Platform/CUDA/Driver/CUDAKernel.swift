import CPlatform

/// A function on the GPU, compiled.
public final class CUDAKernel: @unchecked Sendable {
  /// The function's name in its source.
  public let name: String
  private let function: UnsafeMutableRawPointer?
  private let device: CUDADevice
  private let error: CUDAError?
  // Above 48 KiB the function must be told; done once for the largest asked for.
  private var sharedLimit = 48 << 10

  init(_ function: UnsafeMutableRawPointer?, name: String, on device: CUDADevice, error: CUDAError? = nil) {
    (self.function, self.name, self.device, self.error) = (function, name, device, error)
  }

  /// Queues the kernel on `on` (default: the device's stream): `grid` blocks of `block` threads with `shared` bytes of dynamic shared
  /// memory. Arguments must have the types of the kernel's parameters. Does nothing after an error on the device; never throws.
  /// Costs about 2.5 µs of the host.
  @inlinable
  public func launch<each Argument: KernelArgument>(
    grid: (Int, Int, Int), block: (Int, Int, Int), shared: Int = 0, on stream: CUDAStream? = nil, _ arguments: repeat each Argument
  ) {
    var (count, bytes) = (0, 0)
    for type in repeat (each Argument).self {
      let slot = type.slotBytes
      bytes = (bytes + slot - 1) / slot * slot + slot
      count += 1
    }
    withUnsafeTemporaryAllocation(byteCount: max(bytes, 8), alignment: 128) { storage in
      withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer?.self, capacity: max(count, 1)) { pointers in
        var (index, offset) = (0, 0)
        for argument in repeat each arguments {
          offset = CUDAKernel.store(argument, in: storage, pointers, index, offset)
          index += 1
        }
        launch(grid, block, shared, stream, pointers.baseAddress!)
      }
    }
  }

  @inlinable @inline(__always)
  static func store<Argument: KernelArgument>(
    _ argument: Argument, in block: UnsafeMutableRawBufferPointer, _ pointers: UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>,
    _ index: Int, _ offset: Int
  ) -> Int {
    let slot = Argument.slotBytes
    let place = (offset + slot - 1) / slot * slot
    let address = block.baseAddress! + place
    address.storeBytes(of: argument, as: Argument.self)
    (pointers.baseAddress! + index).initialize(to: address)
    return place + slot
  }

  @usableFromInline
  func launch(
    _ grid: (Int, Int, Int), _ block: (Int, Int, Int), _ shared: Int, _ stream: CUDAStream?,
    _ arguments: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  ) {
    if device.skipsWork { return device.skip(name, on: stream ?? device.launching) }
    guard let function else { return device.fail(error ?? CUDAError(wanted: "launch \(name)", found: "it was not compiled")) }
    if grid.0 == 0 || grid.1 == 0 || grid.2 == 0 { return }
    device.makeCurrent()
    if shared > sharedLimit {
      let code = cuFuncSetAttribute(function, 8, Int32(shared))
      if code != 0 { return device.fail(CUDAError(driver: code, wanted: "give \(name) \(shared) bytes of shared memory")) }
      sharedLimit = shared
    }
    let other = stream ?? device.launching
    let mark = device.begin(name, on: other)
    let code = cuLaunchKernel(
      function, UInt32(grid.0), UInt32(grid.1), UInt32(grid.2), UInt32(block.0), UInt32(block.1), UInt32(block.2), UInt32(shared),
      (other ?? device.stream).handle, arguments, nil)
    device.end(mark, on: other)
    if code != 0 { failed(code, grid, block, shared) }
  }

  @inline(never) private func failed(_ code: Int32, _ grid: (Int, Int, Int), _ block: (Int, Int, Int), _ shared: Int) {
    device.fail(CUDAError(driver: code, wanted: "launch \(name) with grid \(grid), block \(block), \(shared) bytes of shared memory"))
  }

  /// Registers of one thread, 0 where it was not compiled.
  public var registers: Int { attribute(4) }
  /// Bytes of local memory of one thread: spilled registers and indexed arrays.
  public var localBytes: Int { attribute(3) }
  /// The largest block that it can be launched with.
  public var maximumThreads: Int { attribute(0) }

  /// Blocks of `threads` threads with `shared` dynamic bytes that fit on one multiprocessor at once.
  public func blocksPerMultiprocessor(threads: Int, shared: Int = 0) -> Int {
    device.makeCurrent()
    if shared > sharedLimit, cuFuncSetAttribute(function, 8, Int32(shared)) == 0 { sharedLimit = shared }
    var blocks: Int32 = 0
    return cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function, Int32(threads), shared) == 0 ? Int(blocks) : 0
  }

  private func attribute(_ which: Int32) -> Int {
    guard let function else { return 0 }
    device.makeCurrent()
    var value: Int32 = 0
    return cuFuncGetAttribute(&value, which, function) == 0 ? Int(value) : 0
  }
}
