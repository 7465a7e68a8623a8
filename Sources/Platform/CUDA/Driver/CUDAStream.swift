import CPlatform

/// A queue of work on a GPU: what is in one stream runs in order, different streams run beside each other.
public final class CUDAStream: @unchecked Sendable {
  /// The driver's handle.
  public let handle: UnsafeMutableRawPointer?
  private let context: CUDAContext

  /// A stream of `device` beside the others. Throws what the driver says.
  public convenience init(on device: CUDADevice) throws(CUDAError) {
    if device.isSimulated {
      self.init(nil, device.context)
      return
    }
    device.makeCurrent()
    var handle: UnsafeMutableRawPointer?
    try checkDriver(cuStreamCreate(&handle, 1), "make a stream")
    self.init(handle, device.context)
  }

  init(_ handle: UnsafeMutableRawPointer?, _ context: CUDAContext) {
    (self.handle, self.context) = (handle, context)
  }

  /// Marks the present end of the queue.
  public func record(_ event: CUDAEvent) {
    if context.isSimulated { return }
    context.makeCurrent()
    context.note(cuEventRecord(event.handle, handle), "record an event")
  }

  /// Work that is queued from now on waits for what was queued elsewhere before `event` was recorded.
  public func wait(_ event: CUDAEvent) {
    if context.isSimulated { return }
    context.makeCurrent()
    context.note(cuStreamWaitEvent(handle, event.handle, 0), "wait for an event")
  }

  /// Waits until the queue is empty.
  public func synchronize() {
    if context.isSimulated { return }
    context.makeCurrent()
    context.note(cuStreamSynchronize(handle), "finish the work on the GPU")
  }

  /// Whether the queue is empty. Does not wait.
  public var isIdle: Bool {
    if context.isSimulated { return true }
    context.makeCurrent()
    return cuStreamQuery(handle) == 0
  }

  deinit {
    if context.isSimulated { return }
    context.makeCurrent()
    _ = cuStreamDestroy(handle)
  }
}

/// A mark in a stream.
public final class CUDAEvent: @unchecked Sendable {
  let handle: UnsafeMutableRawPointer?
  private let context: CUDAContext

  /// An event of `device`. Without `timing` it costs less and `elapsed` gives nothing.
  public init(on device: CUDADevice, timing: Bool = true) {
    var handle: UnsafeMutableRawPointer?
    guard !device.isSimulated else {
      (self.handle, context) = (nil, device.context)
      return
    }
    device.makeCurrent()
    device.context.note(cuEventCreate(&handle, timing ? 0 : 2), "make an event")
    (self.handle, context) = (handle, device.context)
  }

  /// Waits for the work before the mark.
  public func synchronize() {
    if context.isSimulated { return }
    context.makeCurrent()
    context.note(cuEventSynchronize(handle), "wait for an event")
  }

  /// Whether the work before the mark is done. Does not wait.
  public var isDone: Bool {
    if context.isSimulated { return true }
    context.makeCurrent()
    return cuEventQuery(handle) == 0
  }

  /// Milliseconds between two marks, to about 0.5 µs. Waits for this one. 0 after an error.
  public func elapsed(since start: CUDAEvent) -> Float {
    if context.isSimulated { return 0 }
    synchronize()
    var milliseconds: Float = 0
    context.note(cuEventElapsedTime(&milliseconds, start.handle, handle), "read the time between events")
    return milliseconds
  }

  deinit {
    if context.isSimulated { return }
    context.makeCurrent()
    _ = cuEventDestroy(handle)
  }
}
