import SwiftletCPU
import SwiftletCUDA

/// Bytes that tensors look at, in host memory or on a GPU; given back when the last tensor lets go.
///
/// `@unchecked Sendable`: the address never changes; whoever writes must hold the only reference or order the accesses itself.
public final class Storage: @unchecked Sendable {
  /// Where the bytes lie.
  public let device: Device
  /// Size in bytes.
  public let byteCount: Int
  private let part: MemoryPart?
  private let owner: AnyObject?
  private let host: UnsafeMutableRawPointer?
  private let gpu: CUDADevice?
  private var onDevice = DevicePointer.null
  private var deferred: ((DevicePointer) -> Void)?

  /// Allocates memory, contents undefined, counted under `part`. On a GPU it is ordered with the device's computation, and a failure
  /// surfaces at the device's next check.
  public init(byteCount: Int, part: MemoryPart, on device: Device = .cpu) {
    self.device = device
    self.byteCount = byteCount
    self.part = part
    owner = nil
    if device == .cpu {
      host = HostMemory.allocate(byteCount, part: part)
      gpu = nil
    } else {
      let gpu = device.gpu
      host = nil
      self.gpu = gpu
      onDevice = gpu.allocate(byteCount, part: part)
    }
  }

  /// Memory on a GPU that is neither allocated nor written before someone asks for its address: `body` then fills it. What nobody reads
  /// (the output of a block that backward replays) costs nothing.
  public init(deferredOn device: Device, byteCount: Int, part: MemoryPart, _ body: @escaping (DevicePointer) -> Void) {
    self.device = device
    self.byteCount = byteCount
    self.part = part
    owner = nil
    host = nil
    gpu = device.gpu
    deferred = body
  }

  /// A view of bytes that `owner` keeps alive, for example a mapped file. Such bytes are never written.
  public init(viewing pointer: UnsafeMutableRawPointer, byteCount: Int, owner: AnyObject) {
    device = .cpu
    host = pointer
    gpu = nil
    self.byteCount = byteCount
    part = nil
    self.owner = owner
  }

  /// No bytes at all.
  static let empty = Storage(byteCount: 0, part: .workspace)

  /// The first byte in host memory, aligned to 64 unless the bytes are a view of a file.
  /// - Precondition: the bytes lie in host memory.
  public var pointer: UnsafeMutableRawPointer {
    guard let host else { preconditionFailure("the host cannot read memory of \(device): move the tensor first") }
    return host
  }

  /// The first byte on the GPU.
  /// - Precondition: the bytes lie on a GPU.
  public var address: DevicePointer {
    guard let gpu else { preconditionFailure("a tensor on a GPU is wanted, this one lies in host memory") }
    if let body = deferred {
      deferred = nil
      onDevice = gpu.allocate(byteCount, part: part ?? .workspace)
      body(onDevice)
    }
    return onDevice
  }

  /// The pinned memory that the bytes are a view of; nil for any other memory.
  package var pinned: PinnedMemory? { owner as? PinnedMemory }

  /// Whether the bytes belong to someone else and must not be written.
  public var isView: Bool { part == nil }

  /// Gives the memory of a view of a mapped file back to the system, which reads it again when someone looks. Does nothing to other bytes.
  package func releasePages() {
    guard let file = owner as? MappedFile, let host else { return }
    file.releasePages(UnsafeRawBufferPointer(start: host, count: byteCount))
  }

  deinit {
    guard let part else { return }
    if let host {
      HostMemory.free(host, bytes: byteCount, part: part)
    } else if let gpu, onDevice != .null {
      gpu.free(onDevice, bytes: byteCount, part: part)
    }
  }
}
