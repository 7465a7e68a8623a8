import CPlatform
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Host memory that the GPU reads and writes directly, at the full speed of the bus and beside the computation. Given back to a pool
/// when the last reference goes: copies from or to it must be done by then.
public final class PinnedMemory: @unchecked Sendable {
  /// The first byte, aligned to a page.
  public let pointer: UnsafeMutableRawPointer
  /// Bytes asked for.
  public let count: Int
  private let size: Int
  /// Whether the driver gave the memory; where not, the GPU cannot read it directly.
  public let isPinned: Bool
  private let isSimulated: Bool

  private struct Pool: @unchecked Sendable {
    var free: [Int: [UnsafeMutableRawPointer]] = [:]
    var live = 0
    var pooled = 0
    var peak = 0
  }
  private static let pool = Mutex(Pool())

  /// Bytes in use, rounded as they are allocated.
  public static var liveBytes: Int { pool.withLock { $0.live } }
  /// The most that was ever in use.
  public static var peakBytes: Int { pool.withLock { $0.peak } }
  /// Bytes that wait for reuse.
  public static var pooledBytes: Int { pool.withLock { $0.pooled } }

  /// Where kernels of every GPU find the first byte (addresses are unified); nil where the memory is ordinary after all.
  public var mappedAddress: DevicePointer? { isPinned ? DevicePointer(UInt64(UInt(bitPattern: pointer))) : nil }

  /// Takes `bytes` from the pool, or from the driver (about 0.3 ms a MiB). Contents undefined. Where the driver has no more, ordinary
  /// memory takes its place: copies work, but slower and not beside the computation.
  public init(_ bytes: Int, on device: CUDADevice) {
    precondition(bytes >= 0, "wanted \(bytes) bytes of pinned memory")
    let size = PinnedMemory.rounded(bytes)
    (count, self.size) = (bytes, size)
    isSimulated = device.isSimulated
    let pooled = PinnedMemory.pool.withLock { pool -> SendablePointer? in
      pool.live += size
      pool.peak = max(pool.peak, pool.live)
      guard let found = pool.free[size]?.popLast() else { return nil }
      pool.pooled -= size
      return SendablePointer(pointer: found)
    }
    if device.isSimulated {
      // Nothing is read or written; the address is not used.
      (pointer, isPinned) = (UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1), true)
      return
    }
    if let pooled {
      (pointer, isPinned) = (pooled.pointer, true)
      return
    }
    device.makeCurrent()
    var made: UnsafeMutableRawPointer?
    // Portable: every GPU of the process may use it.
    if cuMemHostAlloc(&made, size, 1) == 0, let made {
      (pointer, isPinned) = (made, true)
    } else {
      (pointer, isPinned) = (UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 4096), false)
    }
  }

  private struct SendablePointer: @unchecked Sendable { let pointer: UnsafeMutableRawPointer }

  /// Classes a quarter of a power of two apart, so that blocks of nearly one size serve each other.
  package static func rounded(_ bytes: Int) -> Int {
    if bytes <= 4096 { return 4096 }
    let step = max(4096, 1 << (Int.bitWidth - 1 - bytes.leadingZeroBitCount - 2))
    return (bytes + step - 1) / step * step
  }

  /// Gives the blocks that wait back to the system.
  public static func trim() {
    let blocks = pool.withLock { pool -> [SendablePointer] in
      let blocks = pool.free.values.joined().map { SendablePointer(pointer: $0) }
      pool.free = [:]
      pool.pooled = 0
      return blocks
    }
    for block in blocks { _ = cuMemFreeHost(block.pointer) }
  }

  deinit {
    let (block, size, isPinned) = (SendablePointer(pointer: pointer), size, isPinned && !isSimulated)
    PinnedMemory.pool.withLock { pool in
      pool.live -= size
      if isPinned {
        pool.pooled += size
        pool.free[size, default: []].append(block.pointer)
      }
    }
    if !isPinned { block.pointer.deallocate() }
  }
}
