import SwiftletCPU
import SwiftletCUDA
import Synchronization

extension Tensor {
  /// New memory on the host that `device` reads and writes over the bus, contents undefined. Where the system pins no more, the GPU fails: its
  /// kernels could not reach ordinary memory.
  public init(pinned shape: Shape, _ dtype: DType = .float32, for device: Device) {
    let memory = PinnedMemory(shape.count * dtype.size, on: device.gpu)
    if !memory.isPinned {
      device.gpu.fail(
        CUDAError(
          wanted: "pin \(memory.count) bytes of host memory", found: "the system gave none",
          advice: "free host memory, or leave out pagedAdamW8bit and memory.embedding"))
    }
    self.init(Storage(viewing: memory.pointer, byteCount: shape.count * dtype.size, owner: memory), shape: shape, dtype: dtype)
  }

  /// A copy in memory on the host that `device` reads over the bus, off tape.
  public func pinned(for device: Device) -> Tensor {
    let copy = Tensor(pinned: shape, dtype, for: device)
    // A simulated GPU's host memory is counted, not there.
    if !device.gpu.isSimulated { copy.copyElements(of: self) }
    return copy
  }

  /// Where a GPU finds the first element: on it, or in pinned host memory.
  package var placeForGPU: DevicePointer {
    if device.isCUDA { return address }
    return DevicePointer(UInt64(UInt(bitPattern: storage.pointer + byteOffset)))
  }
}

/// A gradient that lives in pinned host memory between a backward pass and the optimizer's step, which reads it over the bus.
public final class PagedGradient {
  private let host: Tensor
  private let device: Device

  /// Memory for a gradient of this shape.
  public init(_ shape: Shape, on device: Device) {
    host = Tensor(pinned: shape, for: device)
    self.device = device
  }

  /// Queues the copy of `gradient` to the host.
  public func store(_ gradient: Tensor) { PageQueue.of(device).add(gradient, to: host) }

  /// The gradient as the optimizer reads it; valid after `PageQueue.finish`.
  public var value: Tensor { host }

  /// The gradient on the GPU again, to be added to.
  public func fetched() -> Tensor {
    PageQueue.of(device).finish()
    let copy = Tensor(uninitialized: host.shape, part: .gradients, on: device)
    if !device.gpu.isSimulated { copy.copyElements(of: host) }
    return copy
  }
}

/// Copies to the host that run beside the computation, and the tensors that they read.
public final class PageQueue: @unchecked Sendable {
  /// Copies that may be on their way at a time: what they read stays on the GPU meanwhile.
  private static let depth = 8
  private static let queues = Mutex<[Device: PageQueue]>([:])
  private let gpu: CUDADevice
  private var waiting: [(source: Tensor, isOut: CUDAEvent)] = []

  private init(_ device: Device) { gpu = device.gpu }

  /// The queue of a GPU.
  static func of(_ device: Device) -> PageQueue {
    queues.withLock { queues in
      if let queue = queues[device] { return queue }
      let queue = PageQueue(device)
      queues[device] = queue
      return queue
    }
  }

  fileprivate func add(_ source: Tensor, to host: Tensor) {
    let (isReady, isOut) = (CUDAEvent(on: gpu, timing: false), CUDAEvent(on: gpu, timing: false))
    gpu.stream.record(isReady)
    gpu.outStream.wait(isReady)
    gpu.copy(from: source.address, to: host.storage.pointer + host.byteOffset, bytes: source.byteCount, on: gpu.outStream)
    gpu.outStream.record(isOut)
    waiting.append((source.detached, isOut))
    while waiting.count > Self.depth { letGo() }
  }

  private func letGo() {
    let (_, isOut) = waiting.removeFirst()
    gpu.stream.wait(isOut)
  }

  /// What is queued on the GPU from now on finds all copies done.
  public func finish() {
    while !waiting.isEmpty { letGo() }
  }

  /// `finish` for the GPU of `device`; nothing on the CPU.
  public static func finish(_ device: Device) {
    if device.isCUDA { of(device).finish() }
  }
}
