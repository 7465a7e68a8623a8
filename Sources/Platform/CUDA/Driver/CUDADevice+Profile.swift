import CPlatform
import Synchronization

/// What a profile under way has recorded.
struct ProfileRecorder: @unchecked Sendable {
  struct Item {
    let name: String
    let flops: Double
    let isBeside: Bool
    // Nil on a simulated GPU.
    let start, end: UnsafeMutableRawPointer?
  }

  var items: [Item] = []
  var spare: [UnsafeMutableRawPointer] = []

  mutating func event(_ context: CUDAContext) -> UnsafeMutableRawPointer? {
    if let event = spare.popLast() { return event }
    var handle: UnsafeMutableRawPointer?
    context.note(cuEventCreate(&handle, 0), "make an event")
    return handle
  }
}

extension CUDADevice {
  /// Does `body` and measures all that it queues on the GPU by events around each call. Waits for the GPU before and after.
  ///
  /// The events cost the host some 3 µs a call and the GPU some 2 µs between two calls. What a graph replays counts as one call. One profile
  /// at a time. On a simulated GPU calls are counted and take no time.
  public func profile(_ body: () throws -> Void) rethrows -> CUDAProfile {
    makeCurrent()
    synchronizeAll()
    var recorder = ProfileRecorder()
    if !isSimulated {
      // Ahead of the measurement.
      let events = (0..<16384).compactMap { _ in recorder.event(context) }
      recorder.spare = events
    }
    let (first, last) = (CUDAEvent(on: self), CUDAEvent(on: self))
    context.recorder.withLock { $0 = recorder }
    stream.record(first)
    let clock = ContinuousClock()
    let start = clock.now
    context.isProfiling.store(true, ordering: .relaxed)
    defer { context.isProfiling.store(false, ordering: .relaxed) }
    try body()
    context.isProfiling.store(false, ordering: .relaxed)
    stream.record(last)
    synchronizeAll()
    let time = (clock.now - start).components
    let wall = Double(time.seconds) * 1e3 + Double(time.attoseconds) * 1e-15
    return CUDAProfile(lines: takeLines(), wallMilliseconds: wall, spanMilliseconds: Double(last.elapsed(since: first)))
  }

  /// Marks the beginning of a call; nil where nobody asks, which costs one test.
  @inline(__always)
  func begin(_ name: @autoclosure () -> String, flops: Double = 0, on other: CUDAStream?) -> ProfileRecorder.Item? {
    context.isProfiling.load(ordering: .relaxed) ? beginNow(name(), flops, other ?? stream) : nil
  }

  /// Marks the end of a call.
  @inline(__always)
  func end(_ item: ProfileRecorder.Item?, on other: CUDAStream?) {
    if let item { endNow(item, other ?? stream) }
  }

  /// Counts what a simulated GPU leaves out.
  @inline(__always)
  func skip(_ name: @autoclosure () -> String, flops: Double = 0, on other: CUDAStream?) {
    if isSimulated { end(begin(name(), flops: flops, on: other), on: other) }
  }

  @inline(never)
  private func beginNow(_ name: String, _ flops: Double, _ stream: CUDAStream) -> ProfileRecorder.Item? {
    // A mark in a recording would say nothing.
    if isCapturing { return nil }
    return context.recorder.withLock { recorder in
      let isBeside = stream !== self.stream
      if isSimulated { return ProfileRecorder.Item(name: name, flops: flops, isBeside: isBeside, start: nil, end: nil) }
      let (start, end) = (recorder.event(context), recorder.event(context))
      context.note(cuEventRecord(start, stream.handle), "record an event")
      return ProfileRecorder.Item(name: name, flops: flops, isBeside: isBeside, start: start, end: end)
    }
  }

  @inline(never)
  private func endNow(_ item: ProfileRecorder.Item, _ stream: CUDAStream) {
    if !isSimulated { context.note(cuEventRecord(item.end, stream.handle), "record an event") }
    context.recorder.withLock { $0.items.append(item) }
  }

  private func takeLines() -> [CUDAProfile.Line] {
    let recorder = context.recorder.withLock { recorder in
      defer { recorder = ProfileRecorder() }
      return recorder
    }
    struct Key: Hashable {
      let name: String
      let isBeside: Bool
    }
    var sums: [Key: (calls: Int, milliseconds: Double, flops: Double)] = [:]
    for item in recorder.items {
      var milliseconds: Float = 0
      if !isSimulated { context.note(cuEventElapsedTime(&milliseconds, item.start, item.end), "read the time between events") }
      let old = sums[Key(name: item.name, isBeside: item.isBeside), default: (0, 0, 0)]
      sums[Key(name: item.name, isBeside: item.isBeside)] = (old.calls + 1, old.milliseconds + Double(milliseconds), old.flops + item.flops)
      for case let event? in [item.start, item.end] { _ = cuEventDestroy(event) }
    }
    for event in recorder.spare { _ = cuEventDestroy(event) }
    return sums.map { key, sum in
      CUDAProfile.Line(name: key.name, calls: sum.calls, milliseconds: sum.milliseconds, flops: sum.flops, isBeside: key.isBeside)
    }.sorted { ($0.milliseconds, $0.calls, $1.name) > ($1.milliseconds, $1.calls, $0.name) }
  }
}
