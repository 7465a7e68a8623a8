import CPlatform

/// What a product depends on besides its addresses.
struct BlasShape: Hashable {
  let m, n, k: Int
  let aType, bType, cType, dType: BlasType
  let aStride, bStride, cStride, dStride: Int
  let aTransposed, bTransposed: Bool
  let bias: BlasType?
  let alignments: SIMD4<UInt32>
  let tensorFloat32: Bool
}

extension BlasShape {
  /// Operations of one product.
  var flops: Double { 2 * Double(m) * Double(n) * Double(k) }
}

/// A product made ready: its description, the matrices' layouts and the algorithms. Lives as long as the process.
struct BlasPlan: @unchecked Sendable {
  let product: UnsafeMutableRawPointer?
  let a, b, c, d: UnsafeMutableRawPointer?
  /// Ways to compute it, those that the library thinks fastest first; at least one.
  var choices: [swiftlet_blas_choice]

  // cuBLASLt is column-major, where our row-major C is Cᵀ = op(B)ᵀ · op(A)ᵀ: its first factor is our B, and what is stored row by row
  // counts as transposed already.
  init(_ shape: BlasShape, handle: UnsafeMutableRawPointer?, workspace: Int) throws(CUDAError) {
    let wanted = "plan the product \(shape.m) × \(shape.n) × \(shape.k) of \(shape.aType) and \(shape.bType) into \(shape.cType)"
    var product: UnsafeMutableRawPointer?
    // Sums in float32; factors of float32 as they are, or rounded to 10 bits of mantissa.
    try checkBlas(cublasLtMatmulDescCreate(&product, shape.tensorFloat32 ? 77 : 68, 0), wanted)
    func set<Value>(_ attribute: Int32, _ value: Value) throws(CUDAError) {
      let code = withUnsafeBytes(of: value) { cublasLtMatmulDescSetAttribute(product, attribute, $0.baseAddress, $0.count) }
      try checkBlas(code, wanted)
    }
    try set(3, Int32(shape.bTransposed ? 1 : 0))
    try set(4, Int32(shape.aTransposed ? 1 : 0))
    if let bias = shape.bias {
      try set(7, Int32(4))
      try set(26, bias.rawValue)
    }
    self.product = product
    func layout(_ type: BlasType, _ rows: Int, _ columns: Int, _ stride: Int) throws(CUDAError) -> UnsafeMutableRawPointer? {
      var layout: UnsafeMutableRawPointer?
      try checkBlas(cublasLtMatrixLayoutCreate(&layout, type.rawValue, UInt64(rows), UInt64(columns), Int64(stride)), wanted)
      return layout
    }
    let (m, n, k) = (shape.m, shape.n, shape.k)
    b = try shape.bTransposed ? layout(shape.bType, k, n, shape.bStride) : layout(shape.bType, n, k, shape.bStride)
    a = try shape.aTransposed ? layout(shape.aType, m, k, shape.aStride) : layout(shape.aType, k, m, shape.aStride)
    c = try layout(shape.cType, n, m, shape.cStride)
    d = try layout(shape.dType, n, m, shape.dStride)
    choices = try BlasPlan.choose(handle, product, (b, a, d, c), shape.alignments, workspace, wanted)
  }

  private static func choose(
    _ handle: UnsafeMutableRawPointer?, _ product: UnsafeMutableRawPointer?,
    _ layouts: (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?),
    _ alignments: SIMD4<UInt32>, _ workspace: Int, _ wanted: String
  ) throws(CUDAError) -> [swiftlet_blas_choice] {
    var preference: UnsafeMutableRawPointer?
    try checkBlas(cublasLtMatmulPreferenceCreate(&preference), wanted)
    defer { _ = cublasLtMatmulPreferenceDestroy(preference) }
    var bytes = workspace
    try checkBlas(cublasLtMatmulPreferenceSetAttribute(preference, 1, &bytes, 8), wanted)
    // Sums of parts of k in float32 only: the other schemes round them to the result's type, and what is added to it too.
    var reductions: UInt32 = 2
    try checkBlas(cublasLtMatmulPreferenceSetAttribute(preference, 3, &reductions, 4), wanted)
    for i in 0..<4 {
      var alignment = alignments[i]
      try checkBlas(cublasLtMatmulPreferenceSetAttribute(preference, 5 + Int32(i), &alignment, 4), wanted)
    }
    var choices = [swiftlet_blas_choice](repeating: swiftlet_blas_choice(), count: 8)
    var found: Int32 = 0
    let code = cublasLtMatmulAlgoGetHeuristic(
      handle, product, layouts.0, layouts.1, layouts.2, layouts.3, preference, Int32(choices.count), &choices, &found)
    try checkBlas(code, wanted)
    // Best first; those with a status cannot run.
    let usable = choices.prefix(Int(found)).filter { $0.status == 0 }
    if usable.isEmpty { throw CUDAError(wanted: wanted, found: "cuBLASLt knows no way") }
    return usable
  }
}

/// Throws a status code of cuBLASLt that is not success.
func checkBlas(_ code: Int32, _ wanted: @autoclosure () -> String) throws(CUDAError) {
  if code == 0 { return }
  let text = cublasLtGetStatusString(code).map { String(cString: $0) } ?? "unknown"
  throw CUDAError(wanted: wanted(), found: "\(text) (\(code))")
}
