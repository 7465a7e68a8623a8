import CPlatform
import SwiftletCPU
import Synchronization

/// Matrix products by cuBLASLt, on the device's stream. The same product gives the same bits every time.
public final class CUDABlas: @unchecked Sendable {
  /// Bytes of workspace that products share.
  public static let workspaceBytes = 32 << 20

  /// Why there are no products; nil where there are.
  public let error: CUDAError?
  /// Whether float32 factors may be rounded to 10 bits of mantissa (TF32): faster, and about as exact as float16. Off by default.
  public var allowsTensorFloat32: Bool {
    get { tensorFloat32.load(ordering: .relaxed) }
    set { tensorFloat32.store(newValue, ordering: .relaxed) }
  }

  unowned let device: CUDADevice
  private let handle: UnsafeMutableRawPointer?
  private let workspace: DevicePointer
  private let tensorFloat32 = Atomic<Bool>(false)
  private let plans = Mutex<[BlasShape: Result<BlasPlan, CUDAError>]>([:])
  private let candidates = Mutex(BlasCandidates())

  init(_ device: CUDADevice) {
    self.device = device
    var handle: UnsafeMutableRawPointer?
    guard !device.isSimulated else {
      (error, self.handle) = (nil, nil)
      workspace = device.allocate(CUDABlas.workspaceBytes, part: .workspace)
      return
    }
    device.makeCurrent()
    do throws(CUDAError) {
      try CUDALibrary.cublasLt.open()
      try checkBlas(cublasLtCreate(&handle), "start cuBLASLt")
      error = nil
    } catch {
      self.error = error
    }
    self.handle = handle
    workspace = handle == nil ? .null : device.allocate(CUDABlas.workspaceBytes, part: .workspace)
  }

  /// cuBLASLt's version, 130000 for 13.0.0; nil where it is missing.
  public static var version: Int? { CUDALibrary.cublasLt.status.error == nil ? Int(cublasLtGetVersion()) : nil }

  /// c[m, n] = alpha · op(a)[m, k] · op(b)[k, n] + beta · d[m, n] (+ bias[n] to each row); sums in float32.
  ///
  /// a and b have one type; c has it too or is float32; d (nil: c itself) has c's type; none of c and d is transposed. A bias has c's type,
  /// or that of a and b. About 6 µs of the host; the first product of a shape 0.1 ms more. Errors are kept for the device's `check`.
  public func multiply(
    _ a: BlasMatrix, _ b: BlasMatrix, into c: BlasMatrix, m: Int, n: Int, k: Int, alpha: Float = 1, beta: Float = 0,
    adding d: BlasMatrix? = nil, bias: (DevicePointer, BlasType)? = nil
  ) {
    precondition(!c.transposed && d?.transposed != true, "the result and what is added to it are stored row by row")
    defer { withExtendedLifetime((a.owner, b.owner, c.owner, d?.owner)) {} }
    if m == 0 || n == 0 { return }
    precondition(m > 0 && n > 0 && k > 0, "a product of \(m) × \(n) × \(k)")
    let d = d ?? c
    let shape = BlasShape(
      m: m, n: n, k: k, aType: a.type, bType: b.type, cType: c.type, dType: d.type, aStride: a.stride, bStride: b.stride,
      cStride: c.stride, dStride: d.stride, aTransposed: a.transposed, bTransposed: b.transposed, bias: bias?.1,
      alignments: SIMD4(b.alignment, a.alignment, d.alignment, c.alignment), tensorFloat32: a.type == .float32 && allowsTensorFloat32)
    if device.skipsWork { return device.skip(CUDABlas.name(a, b, c, (m, n, k), beta), flops: shape.flops, on: nil) }
    device.makeCurrent()
    if let error { return device.fail(error) }
    // The bias's address is part of the plan's description: the lock holds until the product is queued.
    let failure = plans.withLock { plans -> CUDAError? in
      do throws(CUDAError) {
        let plan = try plan(shape, &plans)
        if var address = bias?.0.address {
          try checkBlas(cublasLtMatmulDescSetAttribute(plan.product, 8, &address, 8), "set a product's bias")
        }
        if shape.flops > BlasCandidates.smallest { candidates.withLock { $0.note(shape, beta) } }
        let mark = device.begin(CUDABlas.name(a, b, c, (m, n, k), beta), flops: shape.flops, on: nil)
        defer { device.end(mark, on: nil) }
        try run(plan, plan.choices[0], a, b, c, d, alpha, beta)
        return nil
      } catch {
        return error
      }
    }
    if let failure { device.fail(failure) }
  }

  /// How a profile names a product: `8192×14336×4096 bf16 ·t`.
  private static func name(_ a: BlasMatrix, _ b: BlasMatrix, _ c: BlasMatrix, _ sizes: (Int, Int, Int), _ beta: Float) -> String {
    let types = a.type == c.type ? a.type.shortName : "\(a.type.shortName) to \(c.type.shortName)"
    let form = "\(a.transposed ? "t" : "·")\(b.transposed ? "t" : "·")\(beta == 0 ? "" : " +=")"
    return "\(sizes.0)×\(sizes.1)×\(sizes.2) \(types) \(form)"
  }

  private func plan(_ shape: BlasShape, _ plans: inout sending [BlasShape: Result<BlasPlan, CUDAError>]) throws(CUDAError) -> BlasPlan {
    if let plan = plans[shape] { return try plan.get() }
    do throws(CUDAError) {
      let plan = try BlasPlan(shape, handle: handle, workspace: CUDABlas.workspaceBytes)
      plans[shape] = .success(plan)
      return plan
    } catch {
      plans[shape] = .failure(error)
      throw error
    }
  }

  // MARK: trials

  /// Computes each large product that was met since the last call in all the ways that the library proposes, on random numbers, and from
  /// then on in the fastest way that gives the same bits (`BlasTrial`). Takes no more memory than was in use at the peak, and so little time
  /// that it pays off soon. Call it between steps; it waits for the GPU.
  public func runTrials() {
    let waiting = candidates.withLock { $0.take() }
    if waiting.isEmpty || device.hasFailed || device.isCapturing { return }
    let live = device.memory.liveBytes
    // What another process has taken meanwhile must not make a trial the reason of a failed step.
    let room = min(device.memory.peakBytes - live, device.availableMemory.free + device.reservedBytes - live)
    for (shape, beta) in waiting where BlasTrial.bytes(shape) <= room {
      // What cannot be tried stays as it is.
      try? plans.withLock { plans in
        guard case .success(var plan)? = plans[shape], let trial = BlasTrial(shape, device) else { return }
        let way = try trial.fastest(of: plan.choices.count, beta: beta) { way, beta throws(CUDAError) in
          try run(plan, plan.choices[way], trial.a, trial.b, trial.c, trial.c, 1, beta)
        }
        plan.choices.swapAt(0, way)
        plans[shape] = .success(plan)
      }
    }
  }

  private func run(
    _ plan: BlasPlan, _ choice: swiftlet_blas_choice, _ a: BlasMatrix, _ b: BlasMatrix, _ c: BlasMatrix, _ d: BlasMatrix, _ alpha: Float,
    _ beta: Float
  ) throws(CUDAError) {
    var choice = choice
    let code = withUnsafePointer(to: &choice.algorithm) { algorithm in
      algorithm.withMemoryRebound(to: UInt64.self, capacity: 8) { algorithm in
        withUnsafePointer(to: alpha) { alpha in
          withUnsafePointer(to: beta) { beta in
            cublasLtMatmul(
              handle, plan.product, alpha, b.pointer.address, plan.b, a.pointer.address, plan.a, beta, d.pointer.address, plan.d,
              c.pointer.address, plan.c, algorithm, workspace.address, CUDABlas.workspaceBytes, device.stream.handle)
          }
        }
      }
    }
    try checkBlas(code, "multiply matrices on the GPU")
  }
}
