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

  /// Whether a large product is tried in the ways that give the same bits (`BlasTrial`) when it is first met, and from then on computed the
  /// fastest of them.
  /// A product that adds to its result in place needs as much memory again for that moment.
  public var timesProducts: Bool {
    get { timing.load(ordering: .relaxed) }
    set { timing.store(newValue, ordering: .relaxed) }
  }

  unowned let device: CUDADevice
  private let handle: UnsafeMutableRawPointer?
  private let workspace: DevicePointer
  private let tensorFloat32 = Atomic<Bool>(false)
  private let timing = Atomic<Bool>(true)
  private let plans = Mutex<[BlasShape: Result<BlasPlan, CUDAError>]>([:])
  private let work = Mutex(Work())
  private let simulatedShapes = Mutex<Set<BlasShape>>([])

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
  /// or that of a and b. About 6 µs of the host; the first product of a shape 0.1 ms more,
  /// and a large one's trial (`timesProducts`). Errors are kept for the device's `check`.
  public func multiply(
    _ a: BlasMatrix, _ b: BlasMatrix, into c: BlasMatrix, m: Int, n: Int, k: Int, alpha: Float = 1, beta: Float = 0,
    adding d: BlasMatrix? = nil, bias: (DevicePointer, BlasType)? = nil
  ) {
    precondition(!c.transposed && d?.transposed != true, "the result and what is added to it are stored row by row")
    if m == 0 || n == 0 { return }
    precondition(m > 0 && n > 0 && k > 0, "a product of \(m) × \(n) × \(k)")
    let d = d ?? c
    let shape = BlasShape(
      m: m, n: n, k: k, aType: a.type, bType: b.type, cType: c.type, dType: d.type, aStride: a.stride, bStride: b.stride,
      cStride: c.stride, dStride: d.stride, aTransposed: a.transposed, bTransposed: b.transposed, bias: bias?.1,
      alignments: SIMD4(b.alignment, a.alignment, d.alignment, c.alignment), tensorFloat32: a.type == .float32 && allowsTensorFloat32)
    work.withLock { $0.all += shape.flops }
    if device.skipsWork {
      // The memory of a trial is planned like all other.
      if device.isSimulated, simulatedShapes.withLock({ $0.insert(shape).inserted }), isTried(shape) {
        try? withTarget(shape, beta, c, adding: d) { _ in }
      }
      return device.skip(CUDABlas.name(a, b, c, (m, n, k), beta), flops: shape.flops, on: nil)
    }
    device.makeCurrent()
    if let error { return device.fail(error) }
    // The bias's address is part of the plan's description: the lock holds until the product is queued.
    let failure = plans.withLock { plans -> CUDAError? in
      do throws(CUDAError) {
        let isNew = plans[shape] == nil
        var plan = try plan(shape, &plans)
        if var address = bias?.0.address {
          try checkBlas(cublasLtMatmulDescSetAttribute(plan.product, 8, &address, 8), "set a product's bias")
        }
        if isNew, isTried(shape) {
          try withTarget(shape, beta, c, adding: d) { target throws(CUDAError) in
            let out = target.matrix
            let order = try BlasTrial(device, target).fastestFirst(plan.choices.count) { way throws(CUDAError) in
              try run(plan, plan.choices[way], a, b, out, d, alpha, beta)
            } residual: { way, alpha, beta throws(CUDAError) in
              try run(plan, plan.choices[way], a, b, out, out, alpha, beta)
            }
            plan.choices = order.map { plan.choices[$0] }
          }
          plans[shape] = .success(plan)
        }
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

  /// What trials have cost, and what all products have.
  private struct Work {
    var trials = 0.0
    var all = 0.0
  }

  /// Whether a new shape is to be tried. Small products (some 40 µs) are not worth it, and where shapes never come back, as with rows of all
  /// lengths, trials must not cost more than they can bring: 1 % of all work beyond the first 4·10¹⁴ operations, half a second of an H200.
  private func isTried(_ shape: BlasShape) -> Bool {
    // A bias would hide what the trial compares.
    guard timesProducts, shape.flops > 3e10, shape.bias == nil, shape.cStride == shape.dStride, !device.isCapturing else { return false }
    let cost = shape.flops * Double(BlasTrial.calls)
    return work.withLock { work in
      guard work.trials + cost <= 4e14 + 0.01 * work.all else { return false }
      work.trials += cost
      return true
    }
  }

  /// Lets `body` write trial results where they do no harm: over the result that comes anyway or, where that is added to, into other memory.
  private func withTarget(
    _ shape: BlasShape, _ beta: Float, _ c: BlasMatrix, adding d: BlasMatrix, _ body: (BlasTrial.Target) throws(CUDAError) -> Void
  ) throws(CUDAError) {
    let bytes = ((shape.m - 1) * c.stride + shape.n) * c.type.size
    if beta == 0 || d.pointer != c.pointer { return try body(BlasTrial.Target(matrix: c, bytes: bytes)) }
    // A trial is not worth running out of memory.
    guard device.hasRoom(bytes) else { return }
    let other = device.allocate(bytes, part: .workspace)
    defer { device.free(other, bytes: bytes, part: .workspace) }
    try body(BlasTrial.Target(matrix: BlasMatrix(other, c.type, stride: c.stride), bytes: bytes))
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
