import SwiftletTensorCore

/// Muon (Jordan et al., 2024), as PyTorch computes it: momentum whose matrix is brought near an orthogonal one by five Newton–Schulz steps,
/// which run on bfloat16 numbers.
public enum Muon {
  /// How the rate follows the matrix's shape.
  public enum RateRule: String, Sendable, Codable {
    /// √max(1, rows/columns)
    case original
    /// 0.2·√max(rows, columns)
    case matchRMSAdamW
  }

  /// One step, in place: b ← b + (1 − μ)(g − b); u = orthogonal(g + μ(b − g), or b without Nesterov); p ← p(1 − ηλ) − η·rule·u.
  /// - Parameters:
  ///   - parameter: a matrix, float32.
  ///   - momentumBuffer: b, begins as zeros.
  public static func update(
    parameter: Tensor, gradient: Tensor, momentumBuffer: Tensor, learningRate: Float = 1e-3, weightDecay: Float = 0.1,
    momentum: Float = 0.95, nesterov: Bool = true, coefficients: (Float, Float, Float) = (3.4445, -4.775, 2.0315), epsilon: Float = 1e-7,
    steps: Int = 5, rule: RateRule = .original, gradientScale: Float = 1
  ) {
    check(parameter, [gradient, momentumBuffer])
    precondition(parameter.shape.rank == 2, "Muon updates matrices, not \(parameter.shape)")
    let (p, g, buffer) = (parameter.pointer, gradient.pointer, momentumBuffer.pointer)
    let direction = Tensor(uninitialized: parameter.shape, part: .workspace)
    for i in 0..<parameter.count {
      let slope = g[i] * gradientScale
      buffer[i] += (1 - momentum) * (slope - buffer[i])
      direction.pointer[i] = nesterov ? slope + momentum * (buffer[i] - slope) : buffer[i]
    }
    let u = orthogonalized(direction, coefficients, epsilon: epsilon, steps: steps)
    let (rows, columns) = (Float(parameter.shape[0]), Float(parameter.shape[1]))
    let factor = rule == .original ? max(1, rows / columns).squareRoot() : 0.2 * max(rows, columns).squareRoot()
    for i in 0..<parameter.count { p[i] = p[i] * (1 - learningRate * weightDecay) - learningRate * factor * u.pointer[i] }
  }

  private static func orthogonalized(_ g: Tensor, _ c: (Float, Float, Float), epsilon: Float, steps: Int) -> Tensor {
    let tall = g.shape[0] > g.shape[1]
    var x = tall ? transposed(g) : g.copied(part: .workspace)
    round(x)
    let norm = max(BFloat16(Float(gradientNorm([x]))).float, epsilon)
    for i in 0..<x.count { x.pointer[i] /= norm }
    round(x)
    let (m, n) = (x.shape[0], x.shape[1])
    for _ in 0..<steps {
      let gram = Tensor(uninitialized: [m, m], part: .workspace)
      product(MatrixView(x), MatrixView(x).T, into: gram.pointer, m: m, n: m, k: n)
      round(gram)
      let mixed = gram.copied(part: .workspace)
      for i in 0..<mixed.count { mixed.pointer[i] *= c.1 }
      product(MatrixView(gram), MatrixView(gram), into: mixed.pointer, m: m, n: m, k: m, accumulate: true, alpha: c.2)
      round(mixed)
      let next = x.copied(part: .workspace)
      for i in 0..<next.count { next.pointer[i] *= c.0 }
      product(MatrixView(mixed), MatrixView(x), into: next.pointer, m: m, n: n, k: m, accumulate: true)
      round(next)
      x = next
    }
    return tall ? transposed(x) : x
  }

  private static func round(_ x: Tensor) { for i in 0..<x.count { x.pointer[i] = BFloat16(x.pointer[i]).float } }

  private static func transposed(_ x: Tensor) -> Tensor {
    let (rows, columns) = (x.shape[0], x.shape[1])
    let result = Tensor(uninitialized: [columns, rows], part: .workspace)
    for i in 0..<rows { for j in 0..<columns { result.pointer[j * rows + i] = x.pointer[i * columns + j] } }
    return result
  }
}
