import CPlatform
import SwiftletCPU
import Synchronization

extension CUDADevice {
  /// Memory on the GPU, aligned to 256 bytes, contents undefined, counted under `part`. In the order of `stream`: work that is queued
  /// there afterwards may use it. About 0.3 µs from the pool. Never throws: where there is none, the error is kept and the result null.
  /// No bytes: null.
  public func allocate(_ bytes: Int, part: MemoryPart) -> DevicePointer {
    precondition(bytes >= 0, "wanted \(bytes) bytes of GPU memory")
    if bytes == 0 || hasFailed { return .null }
    if hasArenas.load(ordering: .relaxed), let pointer = allocateInCapture(bytes, part: part) { return pointer }
    return allocateNew(bytes, part: part, on: stream)
  }

  /// Gives back what `allocate` gave for the same size and part. Work on `stream` that was queued before may still use it.
  public func free(_ pointer: DevicePointer, bytes: Int, part: MemoryPart) {
    if pointer == .null { return }
    if hasArenas.load(ordering: .relaxed), freeInCapture(pointer, bytes: bytes, part: part) { return }
    freeNew(pointer, bytes: bytes, part: part)
  }

  // Under the lock of `arenas` there must be no `mayWait`: a recording forbids it.
  func allocateNew(_ bytes: Int, part: MemoryPart, on stream: CUDAStream, mayWait: Bool = true) -> DevicePointer {
    guard memory.add(bytes, part) else { return refuse(bytes, part, "the cap of \(memory.cap ?? 0) bytes forbids it") }
    if isSimulated { return DevicePointer(memory.nextSimulatedAddress(bytes)) }
    makeCurrent()
    var address: UInt64 = 0
    var code = cuMemAllocAsync(&address, bytes, stream.handle)
    if code == 2 && mayWait {
      // What was freed but is still in use by queued work comes back when that is done.
      trim()
      code = cuMemAllocAsync(&address, bytes, stream.handle)
    }
    if code == 0 { return DevicePointer(address) }
    memory.subtract(bytes, part)
    if code == 2 { return refuse(bytes, part, "the GPU is full") }
    note(code, "allocate \(bytes) bytes on \(name)")
    return .null
  }

  func freeNew(_ pointer: DevicePointer, bytes: Int, part: MemoryPart) {
    memory.subtract(bytes, part)
    if isSimulated { return }
    makeCurrent()
    note(cuMemFreeAsync(pointer.address, stream.handle), "free memory on \(name)")
  }

  /// Gives pooled memory back to the system, after the work under way.
  public func trim() {
    if isSimulated { return }
    synchronizeAll()
    note(cuMemPoolTrimTo(pool, 0), "trim the GPU's memory pool")
  }

  /// Bytes that nobody uses on the board now, and all its bytes, as the driver says.
  public var availableMemory: (free: Int, total: Int) {
    if isSimulated { return (totalMemory - memory.liveBytes, totalMemory) }
    makeCurrent()
    var (free, total) = (0, 0)
    note(cuMemGetInfo(&free, &total), "read the GPU's free memory")
    return (free, total)
  }

  /// Bytes that the pool holds, in use or kept for reuse.
  public var reservedBytes: Int {
    if isSimulated { return memory.liveBytes }
    makeCurrent()
    var bytes: UInt64 = 0
    note(cuMemPoolGetAttribute(pool, 5, &bytes), "read the size of the GPU's memory pool")
    return Int(bytes)
  }

  @inline(never) private func refuse(_ bytes: Int, _ part: MemoryPart, _ reason: String) -> DevicePointer {
    let (free, total) = availableMemory
    fail(
      CUDAError(
        wanted: "allocate \(bytes) bytes for \(part) on \(name)",
        found: "\(reason); \(memory.liveBytes) bytes are in use here, \(free) of \(total) free on the board",
        advice: "use a smaller batch or context, more checkpointing, or end other programs on this GPU", isOutOfMemory: true))
    return .null
  }

  // MARK: copies

  /// Copies from host memory, on `on` (default: `stream`). From pageable memory it returns when the source may be reused; from pinned
  /// memory at once, and the source must stay until the stream has passed.
  public func copy(from source: UnsafeRawPointer, to target: DevicePointer, bytes: Int, on other: CUDAStream? = nil) {
    if bytes == 0 || skipsWork { return }
    makeCurrent()
    let mark = begin("copy from host", on: other)
    note(cuMemcpyHtoDAsync(target.address, source, bytes, (other ?? stream).handle), "copy \(bytes) bytes to \(name)")
    end(mark, on: other)
  }

  /// Copies to host memory. On `stream` it returns when the bytes are there; on another one maybe earlier where the target is pinned.
  ///
  /// On a simulated GPU the bytes are zero, in pinned memory, which has none there, what they were.
  public func copy(from source: DevicePointer, to target: UnsafeMutableRawPointer, bytes: Int, on other: CUDAStream? = nil) {
    if isSimulated && bytes > 0 && other == nil { target.initializeMemory(as: UInt8.self, repeating: 0, count: bytes) }
    if bytes == 0 || skipsWork { return }
    makeCurrent()
    let mark = begin("copy to host", on: other)
    note(cuMemcpyDtoHAsync(target, source.address, bytes, (other ?? stream).handle), "copy \(bytes) bytes from \(name)")
    end(mark, on: other)
    if other == nil { synchronize() }
  }

  /// Copies within the GPU, on `on` (default: `stream`). The ranges must not overlap.
  public func copy(from source: DevicePointer, to target: DevicePointer, bytes: Int, on other: CUDAStream? = nil) {
    if bytes == 0 || skipsWork { return }
    makeCurrent()
    let mark = begin("copy on the GPU", on: other)
    note(cuMemcpyDtoDAsync(target.address, source.address, bytes, (other ?? stream).handle), "copy \(bytes) bytes on \(name)")
    end(mark, on: other)
  }

  /// Sets every byte, on `stream`.
  public func fill(_ pointer: DevicePointer, byte: UInt8, bytes: Int) {
    if bytes == 0 || skipsWork { return }
    makeCurrent()
    let mark = begin("fill", on: nil)
    note(cuMemsetD8Async(pointer.address, byte, bytes, stream.handle), "fill \(bytes) bytes on \(name)")
    end(mark, on: nil)
  }
}
