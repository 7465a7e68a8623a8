import CPlatform

/// How floating-point numbers lie in memory.
public enum CPUFloat: Sendable, CaseIterable {
  case f32, bf16, f16

  package var code: swiftlet_float {
    switch self {
    case .f32: SWIFTLET_F32
    case .bf16: SWIFTLET_BF16
    case .f16: SWIFTLET_F16
    }
  }
}

/// Matrix products on the CPU, on all threads of the pool.
///
/// Each output element is summed in one fixed order (see `swiftlet_gemm`), so a row has the same bits whether it is computed alone or
/// among thousands, on one thread or on many.
public enum CPUMatmul {
  /// `c[m, n] = alpha · a · b`, added to what is in `c` where `accumulate`.
  ///
  /// - Parameters:
  ///   - a: [m, k] row-major with rows `lda` apart, or [k, m] where `transposeA`. Converted to float32 exactly.
  ///   - b: [k, n] row-major with rows `ldb` apart, or [n, k] where `transposeB` (`y = x·Wᵀ`).
  ///   - c: [m, n] with rows `ldc` apart; must not overlap `a` or `b`.
  public static func multiply(
    a: UnsafeRawPointer, aType: CPUFloat = .f32, lda: Int, transposeA: Bool = false,
    b: UnsafeRawPointer, bType: CPUFloat = .f32, ldb: Int, transposeB: Bool = false,
    c: UnsafeMutablePointer<Float>, ldc: Int, m: Int, n: Int, k: Int, accumulate: Bool = false, alpha: Float = 1
  ) {
    let product = Product(
      a: a, aType: aType, lda: lda, transposeA: transposeA, b: b, bType: bType, ldb: ldb, transposeB: transposeB, c: c, ldc: ldc, m: m,
      n: n,
      k: k, accumulate: accumulate, alpha: alpha
    ).raw
    swiftlet_gemm(product.a, product.b, c, ldc, m, n, k, alpha, accumulate)
  }

  /// `multiply` for bfloat16 factors on the processor's bfloat16 units: up to twice as fast, float32 sums, but pairs of products are
  /// summed first and subnormal numbers may count as zero. The bits depend on the processor, not on sizes or threads.
  public static func multiplyBF16(
    a: UnsafeRawPointer, lda: Int, transposeA: Bool = false, b: UnsafeRawPointer, ldb: Int, transposeB: Bool = false,
    c: UnsafeMutablePointer<Float>, ldc: Int, m: Int, n: Int, k: Int, accumulate: Bool = false, alpha: Float = 1
  ) {
    let product = Product(
      a: a, aType: .bf16, lda: lda, transposeA: transposeA, b: b, bType: .bf16, ldb: ldb, transposeB: transposeB, c: c, ldc: ldc, m: m,
      n: n,
      k: k, accumulate: accumulate, alpha: alpha
    ).raw
    swiftlet_gemm_bf16(product.a, product.b, c, ldc, m, n, k, alpha, accumulate)
  }

  /// Independent products at once: heads of an attention, experts of a mixture. Each has the bits that `multiply` gives it.
  /// Outputs must not overlap.
  public static func multiply(_ products: [Product]) {
    let raw = products.map(\.raw)
    raw.withUnsafeBufferPointer { swiftlet_gemm_batch($0.baseAddress, $0.count) }
  }

  /// One product of a batch; the parameters of `multiply`.
  public struct Product {
    let raw: swiftlet_product

    /// Describes a product; see `multiply`.
    public init(
      a: UnsafeRawPointer, aType: CPUFloat = .f32, lda: Int, transposeA: Bool = false,
      b: UnsafeRawPointer, bType: CPUFloat = .f32, ldb: Int, transposeB: Bool = false,
      c: UnsafeMutablePointer<Float>, ldc: Int, m: Int, n: Int, k: Int, accumulate: Bool = false, alpha: Float = 1
    ) {
      precondition(m >= 0 && n >= 0 && k >= 0, "matmul of negative size \(m)×\(n)×\(k)")
      let empty = m == 0 || n == 0 || k == 0
      precondition(empty || lda >= (transposeA ? m : k), "lda \(lda) is less than a row of \(transposeA ? m : k)")
      precondition(empty || ldb >= (transposeB ? k : n), "ldb \(ldb) is less than a row of \(transposeB ? k : n)")
      precondition(m == 0 || ldc >= n, "ldc \(ldc) is less than a row of \(n)")
      raw = swiftlet_product(
        a: swiftlet_matrix(data: a, stride: lda, type: aType.code, transposed: transposeA),
        b: swiftlet_matrix(data: b, stride: ldb, type: bType.code, transposed: transposeB),
        c: c, ldc: ldc, m: m, n: n, k: k, alpha: alpha, accumulate: accumulate)
    }
  }
}
