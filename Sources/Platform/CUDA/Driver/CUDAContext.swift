import CPlatform
import Synchronization

/// The driver's context of a GPU, and the first error in it: what streams, events and kernels share with their device.
final class CUDAContext: @unchecked Sendable {
  let handle: UnsafeMutableRawPointer?
  private let failure = Mutex<CUDAError?>(nil)
  private let failed = Atomic<Bool>(false)

  init(_ handle: UnsafeMutableRawPointer?) { self.handle = handle }

  @inline(__always) func makeCurrent() {
    let code = swiftlet_cuda_make_current(handle)
    if code != 0 { fail(CUDAError(driver: code, wanted: "use the GPU on this thread")) }
  }

  @inline(__always) var hasFailed: Bool { failed.load(ordering: .relaxed) }

  @inline(never) func fail(_ error: CUDAError) {
    failure.withLock { if $0 == nil { $0 = error } }
    failed.store(true, ordering: .relaxed)
  }

  /// The first error, which is then forgotten.
  func takeError() -> CUDAError? {
    if !hasFailed { return nil }
    return failure.withLock { failure in
      defer { failure = nil }
      failed.store(false, ordering: .relaxed)
      return failure
    }
  }

  /// Keeps a status code that is not success.
  @inline(__always) func note(_ code: Int32, _ wanted: @autoclosure () -> String) {
    if code != 0 { fail(CUDAError(driver: code, wanted: wanted())) }
  }
}
