import CPlatform
import Synchronization

/// The driver's context of a GPU, and the first error in it: what streams, events and kernels share with their device.
final class CUDAContext: @unchecked Sendable {
  let handle: UnsafeMutableRawPointer?
  /// Whether there is no GPU behind it: everything is counted, nothing is done.
  let isSimulated: Bool
  private let failure = Mutex<CUDAError?>(nil)
  private let failed = Atomic<Bool>(false)

  init(_ handle: UnsafeMutableRawPointer?, isSimulated: Bool = false) {
    (self.handle, self.isSimulated) = (handle, isSimulated)
    idle.store(isSimulated, ordering: .relaxed)
  }

  private let idle = Atomic<Bool>(false)

  /// Whether a profile is under way.
  let isProfiling = Atomic<Bool>(false)
  /// What it has recorded.
  let recorder = Mutex(ProfileRecorder())

  /// Whether work is left undone: after an error, and where there is no GPU.
  @inline(__always) var skipsWork: Bool { idle.load(ordering: .relaxed) }

  @inline(__always) func makeCurrent() {
    if isSimulated { return }
    let code = swiftlet_cuda_make_current(handle)
    if code != 0 { fail(CUDAError(driver: code, wanted: "use the GPU on this thread")) }
  }

  @inline(__always) var hasFailed: Bool { failed.load(ordering: .relaxed) }

  @inline(never) func fail(_ error: CUDAError) {
    failure.withLock { if $0 == nil { $0 = error } }
    failed.store(true, ordering: .relaxed)
    idle.store(true, ordering: .relaxed)
  }

  /// The first error, which is then forgotten.
  func takeError() -> CUDAError? {
    if !hasFailed { return nil }
    return failure.withLock { failure in
      defer { failure = nil }
      failed.store(false, ordering: .relaxed)
      idle.store(isSimulated, ordering: .relaxed)
      return failure
    }
  }

  /// Keeps a status code that is not success.
  @inline(__always) func note(_ code: Int32, _ wanted: @autoclosure () -> String) {
    if code != 0 { fail(CUDAError(driver: code, wanted: wanted())) }
  }
}
