import CPlatform

/// How floating-point numbers lie in memory.
public enum CPUFloat: Sendable {
  case f32, bf16, f16

  var code: swiftlet_float {
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
    precondition(m >= 0 && n >= 0 && k >= 0, "matmul of negative size \(m)×\(n)×\(k)")
    precondition(lda >= (transposeA ? m : k) || m == 0 || k == 0, "lda \(lda) is less than a row of \(transposeA ? m : k)")
    precondition(ldb >= (transposeB ? k : n) || n == 0 || k == 0, "ldb \(ldb) is less than a row of \(transposeB ? k : n)")
    precondition(ldc >= n || m == 0, "ldc \(ldc) is less than a row of \(n)")
    swiftlet_gemm(
      swiftlet_matrix(data: a, stride: lda, type: aType.code, transposed: transposeA),
      swiftlet_matrix(data: b, stride: ldb, type: bType.code, transposed: transposeB),
      c, ldc, m, n, k, alpha, accumulate)
  }
}
