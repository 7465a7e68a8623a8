import CPlatform
import Synchronization

/// Work on a GPU that was recorded once and is queued again by one call, about 0.5 µs a kernel.
///
/// It replays kernels with the arguments and addresses of the recording. What was allocated while it was recorded stays its own until it
/// goes; memory from before must be kept alive by whoever replays.
public final class CUDAGraph: @unchecked Sendable {
  /// Kernels, copies and fills in it.
  public let nodeCount: Int
  /// Bytes of the GPU that it keeps for itself.
  public let memoryBytes: Int
  private let executable: UnsafeMutableRawPointer?
  private let arena: CaptureArena
  private let device: CUDADevice

  init(_ graph: UnsafeMutableRawPointer?, _ arena: CaptureArena, on device: CUDADevice) throws(CUDAError) {
    var count = 0
    try checkDriver(cuGraphGetNodes(graph, nil, &count), "count the nodes of a graph")
    var executable: UnsafeMutableRawPointer?
    try checkDriver(cuGraphInstantiate(&executable, graph, 0), "make a graph of \(count) nodes ready")
    (self.executable, nodeCount, memoryBytes, self.arena, self.device) = (executable, count, arena.bytes, arena, device)
  }

  /// Queues all its work on `stream` (default: the device's). Does nothing after an error on the device.
  public func launch(on stream: CUDAStream? = nil) {
    if device.skipsWork { return }
    device.makeCurrent()
    let mark = device.begin("graph of \(nodeCount) nodes", on: stream)
    device.note(cuGraphLaunch(executable, (stream ?? device.stream).handle), "launch a graph of \(nodeCount) nodes")
    device.end(mark, on: stream)
  }

  deinit {
    device.makeCurrent()
    device.drop(executable, arena)
  }
}

extension CUDADevice {
  /// Records what `body` queues on `stream` instead of running it. Kernels must have been compiled, and libraries opened: run the same
  /// once before. In `body` nothing may wait for the GPU, read from it, or copy from memory that will not be there at a replay.
  /// Throws what `body` throws, an error noted in it, or what the driver could not record.
  public func capture(_ body: () throws -> Void) throws -> CUDAGraph {
    makeCurrent()
    try check()
    let arena = try CaptureArena(on: self)
    beginCapture(arena)
    // Relaxed: other threads, and this one on other streams, may allocate meanwhile.
    let begun = cuStreamBeginCapture(stream.handle, 2)
    let outcome = Result { try body() }
    var graph: UnsafeMutableRawPointer?
    let ended = cuStreamEndCapture(stream.handle, &graph)
    defer { if graph != nil { _ = cuGraphDestroy(graph) } }
    endCapture(arena)
    do {
      try outcome.get()
      try check()
      try checkDriver(begun == 0 ? ended : begun, "record a graph")
      return try CUDAGraph(graph, arena, on: self)
    } catch {
      drop(nil, arena)
      throw error
    }
  }

  /// Whether work is being recorded instead of run.
  public var isCapturing: Bool { hasArenas.load(ordering: .relaxed) && arenas.withLock { $0.capturing != nil } }
}
