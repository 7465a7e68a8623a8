import CPlatform
import SwiftletCPU
import Synchronization

/// A GPU: its streams, its memory, its kernels. One object per GPU and process; safe to use from several threads.
///
/// Operations never throw: the first error is kept, later launches do nothing, `check` throws it.
public final class CUDADevice: @unchecked Sendable {
  /// Its number among the visible ones.
  public let ordinal: Int
  /// "NVIDIA H200".
  public let name: String
  /// The compute capability, (9, 0) on Hopper.
  public let capability: (major: Int, minor: Int)
  /// What kernels are compiled for: "sm_90a".
  public let architecture: String
  /// Multiprocessors.
  public let multiprocessors: Int
  /// Bytes of memory on the board.
  public let totalMemory: Int
  /// Bytes of shared memory that one block can have when it asks.
  public let sharedMemoryPerBlock: Int
  /// Bytes of the second-level cache.
  public let cacheBytes: Int
  /// The bytes in use, by part.
  public let memory = DeviceMemory()
  /// All computation goes here.
  public let stream: CUDAStream
  /// Copies to host memory, beside the computation.
  public let outStream: CUDAStream
  /// Copies from host memory, beside the computation.
  public let inStream: CUDAStream

  let context: CUDAContext
  let pool: UnsafeMutableRawPointer?
  let kernels = KernelCache()
  let arenas = Mutex(CaptureArenas())
  // Spares allocations the lock of `arenas` where there is no graph.
  let hasArenas = Atomic<Bool>(false)
  private let openedBlas = Mutex<CUDABlas?>(nil)
  private let openedDNN = Mutex<CUDADNN?>(nil)

  /// Buffers for weights that are dequantised beside the computation; 0 saves their memory and dequantises between products.
  public var dequantizationSlots = 2
  /// Whether attention may take its gradients from cuDNN where that is faster: what they add up to then depends on the order in which blocks
  /// come, and two runs have not the same bits.
  public var prefersDNN = false
  // Where kernels go that name no stream; nil: `stream`.
  var launching: CUDAStream?

  // MARK: opening

  private static let opened = Mutex<[Int: CUDADevice]>([:])
  private static let initialized: CUDAError? = {
    if let error = CUDALibrary.driver.status.error { return error }
    let code = cuInit(0)
    return code == 0 ? nil : CUDAError(driver: code, wanted: "start the CUDA driver")
  }()

  /// Why there is no GPU to use; nil where there is one.
  public static var unavailable: CUDAError? {
    if let error = initialized { return error }
    return count > 0
      ? nil : CUDAError(wanted: "use a GPU", found: "the driver sees none", advice: "check nvidia-smi, and CUDA_VISIBLE_DEVICES")
  }

  /// GPUs that are visible; 0 where there is no driver.
  public static var count: Int {
    if initialized != nil { return 0 }
    var count: Int32 = 0
    return cuDeviceGetCount(&count) == 0 ? Int(count) : 0
  }

  /// The version of CUDA that the driver brings, (13, 0); nil without a driver.
  public static var driverVersion: (major: Int, minor: Int)? {
    var version: Int32 = 0
    guard CUDALibrary.driver.status.error == nil, cuDriverGetVersion(&version) == 0 else { return nil }
    return (Int(version) / 1000, Int(version) % 1000 / 10)
  }

  /// The GPU of that number: the same object every time. Makes its context the calling thread's. The first call costs 0.2–0.4 s.
  public static func open(_ ordinal: Int = 0) throws(CUDAError) -> CUDADevice {
    let result = opened.withLock { devices -> Result<CUDADevice, CUDAError> in
      if let device = devices[ordinal] { return .success(device) }
      do throws(CUDAError) {
        let device = try CUDADevice(ordinal)
        devices[ordinal] = device
        return .success(device)
      } catch {
        return .failure(error)
      }
    }
    let device = try result.get()
    device.makeCurrent()
    return device
  }

  private init(_ ordinal: Int) throws(CUDAError) {
    if let error = CUDADevice.unavailable { throw error }
    var number: Int32 = 0
    guard ordinal >= 0, ordinal < CUDADevice.count, cuDeviceGet(&number, Int32(ordinal)) == 0 else {
      throw CUDAError(wanted: "open GPU \(ordinal)", found: "\(CUDADevice.count) are visible", advice: "count from 0")
    }
    self.ordinal = ordinal
    name = CUDADevice.name(number)
    func attribute(_ which: Int32) -> Int {
      var value: Int32 = 0
      return cuDeviceGetAttribute(&value, which, number) == 0 ? Int(value) : 0
    }
    capability = (attribute(75), attribute(76))
    architecture = CUDADevice.architecture(capability)
    multiprocessors = attribute(16)
    sharedMemoryPerBlock = attribute(97)
    cacheBytes = attribute(38)
    var bytes = 0
    try checkDriver(cuDeviceTotalMem(&bytes, number), "read the GPU's memory size")
    totalMemory = bytes
    guard attribute(115) == 1 else {
      throw CUDAError(wanted: "allocate in stream order on \(name)", found: "the driver does not do it", advice: CUDALibrary.driver.remedy)
    }
    var (context, pool): (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?)
    try checkDriver(cuDevicePrimaryCtxRetain(&context, number), "open GPU \(ordinal) (\(name))")
    try checkDriver(swiftlet_cuda_make_current(context), "use GPU \(ordinal) (\(name))")
    try checkDriver(cuDeviceGetDefaultMemPool(&pool, number), "find the GPU's memory pool")
    // Freed memory stays with the program: giving it back and taking it again would cost 80 µs each time.
    var threshold = UInt64.max
    try checkDriver(cuMemPoolSetAttribute(pool, 4, &threshold), "keep the GPU's memory pool")
    self.pool = pool
    let shared = CUDAContext(context)
    self.context = shared
    var handles: [UnsafeMutableRawPointer?] = []
    for _ in 0..<3 {
      var handle: UnsafeMutableRawPointer?
      try checkDriver(cuStreamCreate(&handle, 1), "make a stream")
      handles.append(handle)
    }
    stream = CUDAStream(handles[0], shared)
    outStream = CUDAStream(handles[1], shared)
    inStream = CUDAStream(handles[2], shared)
  }

  /// A GPU that is not there: everything that is allocated on it is counted as on a real one, nothing is computed. The memory plan runs a
  /// step on such a device, so what it says and what a run takes come from the same code.
  /// - Parameters:
  ///   - memory: bytes on the board.
  ///   - ordinal: its number for `open`; at least 1000, so that it stays apart from real ones.
  public static func simulated(
    capability: (major: Int, minor: Int), memory: Int, multiprocessors: Int = 132, ordinal: Int
  ) -> CUDADevice {
    precondition(ordinal >= 1000, "simulated GPUs are numbered from 1000, not \(ordinal)")
    let device = CUDADevice(simulating: capability, memory, multiprocessors, ordinal)
    opened.withLock { $0[ordinal] = device }
    return device
  }

  private init(simulating capability: (major: Int, minor: Int), _ memory: Int, _ multiprocessors: Int, _ ordinal: Int) {
    self.ordinal = ordinal
    name = "simulated sm_\(capability.major)\(capability.minor)"
    self.capability = capability
    architecture = CUDADevice.architecture(capability)
    self.multiprocessors = multiprocessors
    totalMemory = memory
    sharedMemoryPerBlock = capability.major >= 9 ? 232_448 : capability.major == 8 ? 166_912 : 65_536
    cacheBytes = 50 << 20
    context = CUDAContext(nil, isSimulated: true)
    pool = nil
    stream = CUDAStream(nil, context)
    outStream = CUDAStream(nil, context)
    inStream = CUDAStream(nil, context)
  }

  private static func name(_ number: Int32) -> String {
    var text = [CChar](repeating: 0, count: 256)
    guard cuDeviceGetName(&text, 255, number) == 0 else { return "unknown GPU" }
    return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// The name NVRTC has for a capability. From Hopper on data-centre parts have instructions of their own ("a").
  package static func architecture(_ capability: (major: Int, minor: Int)) -> String {
    let special = capability.major == 9 || capability.major == 10
    return "sm_\(capability.major)\(capability.minor)" + (special ? "a" : "")
  }

  /// Makes the GPU the calling thread's. About 2 ns where it is already.
  public func makeCurrent() { context.makeCurrent() }

  // MARK: errors

  /// Sends the kernels that `body` launches to another stream. Memory is still allocated and freed in the order of `stream`. Not for use from
  /// several threads at once.
  public func launching(on other: CUDAStream, _ body: () -> Void) {
    let before = launching
    launching = other
    body()
    launching = before
  }

  /// Whether there is no GPU behind it; see `simulated`.
  public var isSimulated: Bool { context.isSimulated }

  /// Whether work is left undone: after an error, and on a simulated GPU.
  var skipsWork: Bool { context.skipsWork }

  /// Whether there was an error since the last `check`.
  public var hasFailed: Bool { context.hasFailed }

  /// Remembers an error unless there is an earlier one; from then on launches do nothing.
  public func fail(_ error: CUDAError) { context.fail(error) }

  /// Throws the first error since the last check, and forgets it. Waits for nothing: `synchronize` first to hear of work under way.
  public func check() throws(CUDAError) {
    if let error = context.takeError() { throw error }
  }

  /// Keeps a status code that is not success.
  func note(_ code: Int32, _ wanted: @autoclosure () -> String) { context.note(code, wanted()) }

  /// Waits for all work on `stream`.
  public func synchronize() { stream.synchronize() }

  /// Waits for the work on all streams of the GPU.
  public func synchronizeAll() {
    if isSimulated { return }
    makeCurrent()
    note(cuCtxSynchronize(), "finish the work on the GPU")
  }

  /// Matrix products by cuBLASLt, opened at the first use.
  public var blas: CUDABlas {
    openedBlas.withLock { blas in
      if let blas { return blas }
      let made = CUDABlas(self)
      blas = made
      return made
    }
  }

  /// Graphs of operations by cuDNN, opened at the first use.
  public var dnn: CUDADNN {
    openedDNN.withLock { dnn in
      if let dnn { return dnn }
      let made = CUDADNN(self)
      dnn = made
      return made
    }
  }

  /// The kernel `function` of `source`, specialised by `defines`. Compiled at the first use, found in about 0.2 µs from then on.
  /// An error of the compiler is kept and comes again at each launch.
  public func kernel(_ source: KernelSource, _ function: StaticString, _ defines: [KernelDefine] = []) -> CUDAKernel {
    kernels.find(source, function, defines, on: self)
  }
}
