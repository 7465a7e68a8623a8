import CPlatform
import SwiftletCPU
import Synchronization

/// The memory of a graph: a graph replays fixed addresses, so what was allocated while it was captured is its own as long as it lives.
///
/// Within a capture, freed blocks serve later allocations: the graph runs in the captured order. Blocks come from a stream of their own,
/// because an allocation in the captured one would become a node of the graph. Used under the lock of the device's `arenas`.
final class CaptureArena: @unchecked Sendable {
  private struct Block {
    let bytes: Int
    let part: MemoryPart
    var isFree = false
    // The graph is gone, somebody still holds the memory.
    var isOrphan = false
  }

  private var blocks: [UInt64: Block] = [:]
  private var free: [Int: [UInt64]] = [:]
  // Memory from before the capture that was freed in it: the graph may read it on its first run.
  private var late: [(pointer: DevicePointer, bytes: Int, part: MemoryPart)] = []
  let stream: CUDAStream

  init(on device: CUDADevice) throws(CUDAError) { stream = try CUDAStream(on: device) }

  var isEmpty: Bool { blocks.isEmpty }
  /// Bytes that the graph keeps.
  var bytes: Int { blocks.values.reduce(0) { $0 + $1.bytes } }

  func allocate(_ wanted: Int, part: MemoryPart, on device: CUDADevice) -> DevicePointer {
    let bytes = (wanted + 511) / 512 * 512
    if let address = take(bytes) { return DevicePointer(address) }
    let pointer = device.allocateNew(bytes, part: part, on: stream, mayWait: false)
    if pointer != .null {
      stream.synchronize()
      blocks[pointer.address] = Block(bytes: bytes, part: part)
    }
    return pointer
  }

  // A free block of the size, or of a quarter more at most.
  private func take(_ bytes: Int) -> UInt64? {
    var best: Int?
    if free[bytes]?.isEmpty == false {
      best = bytes
    } else {
      best = free.keys.filter { $0 > bytes && $0 <= bytes + bytes / 4 && free[$0]?.isEmpty == false }.min()
    }
    guard let best, let address = free[best]?.popLast() else { return nil }
    blocks[address]?.isFree = false
    return address
  }

  /// Frees inside the capture.
  func release(_ pointer: DevicePointer, bytes: Int, part: MemoryPart) {
    guard let block = blocks[pointer.address] else { return late.append((pointer, bytes, part)) }
    if block.isFree { return }
    blocks[pointer.address]?.isFree = true
    free[block.bytes, default: []].append(pointer.address)
  }

  /// Frees after the capture; false where the memory is not the arena's.
  func releaseLater(_ pointer: DevicePointer, on device: CUDADevice) -> Bool {
    guard let block = blocks[pointer.address] else { return false }
    if block.isOrphan {
      blocks[pointer.address] = nil
      device.freeNew(pointer, bytes: block.bytes, part: block.part)
    } else {
      blocks[pointer.address]?.isFree = true
    }
    return true
  }

  /// The capture is over: what was freed in it but belongs to others, to be freed now.
  func takeLate() -> [(pointer: DevicePointer, bytes: Int, part: MemoryPart)] {
    defer { (late, free) = ([], [:]) }
    return late
  }

  /// The graph is gone: gives back what nobody holds.
  func giveBack(on device: CUDADevice) {
    for (address, block) in blocks {
      if block.isFree {
        device.freeNew(DevicePointer(address), bytes: block.bytes, part: block.part)
        blocks[address] = nil
      } else {
        blocks[address]?.isOrphan = true
      }
    }
  }
}

/// The memory of the graphs of a device.
struct CaptureArenas: @unchecked Sendable {
  /// That of the graph being recorded.
  var capturing: CaptureArena?
  var all: [CaptureArena] = []
  /// Graphs that went while another one was being recorded: nothing can be freed then.
  var waiting: [(executable: UnsafeMutableRawPointer?, arena: CaptureArena)] = []
}

extension CUDADevice {
  /// Memory from a graph being recorded; nil where none is.
  func allocateInCapture(_ bytes: Int, part: MemoryPart) -> DevicePointer? {
    arenas.withLock { $0.capturing?.allocate(bytes, part: part, on: self) }
  }

  /// Gives memory back to its graph, or keeps it until the recording is over; false where it is none's and nothing is recorded.
  func freeInCapture(_ pointer: DevicePointer, bytes: Int, part: MemoryPart) -> Bool {
    arenas.withLock { arenas in
      if let capturing = arenas.capturing {
        capturing.release(pointer, bytes: bytes, part: part)
        return true
      }
      guard let owner = arenas.all.firstIndex(where: { $0.releaseLater(pointer, on: self) }) else { return false }
      if arenas.all[owner].isEmpty { arenas.all.remove(at: owner) }
      return true
    }
  }

  func beginCapture(_ arena: CaptureArena) {
    arenas.withLock { arenas in
      precondition(arenas.capturing == nil, "a graph is being recorded already")
      arenas.capturing = arena
      arenas.all.append(arena)
    }
    hasArenas.store(true, ordering: .relaxed)
  }

  func endCapture(_ arena: CaptureArena) {
    let (late, waiting) = arenas.withLock { arenas in
      defer { (arenas.capturing, arenas.waiting) = (nil, []) }
      return (arena.takeLate(), arenas.waiting)
    }
    for (pointer, bytes, part) in late { free(pointer, bytes: bytes, part: part) }
    for graph in waiting { drop(graph.executable, graph.arena) }
  }

  /// Destroys a graph after the work under way, and frees its memory.
  func drop(_ executable: UnsafeMutableRawPointer?, _ arena: CaptureArena) {
    let waits = arenas.withLock { arenas in
      if arenas.capturing == nil { return false }
      arenas.waiting.append((executable, arena))
      return true
    }
    if waits { return }
    synchronizeAll()
    if executable != nil { _ = cuGraphExecDestroy(executable) }
    arenas.withLock { arenas in
      arena.giveBack(on: self)
      if arena.isEmpty { arenas.all.removeAll { $0 === arena } }
    }
  }
}
