import Foundation

/// A number format that the definitions below are computed in: float64 for the truth, float32 for what a naive program would get.
public protocol Real: BinaryFloatingPoint {
  /// eˣ
  static func exp(_ x: Self) -> Self
  /// ln x
  static func log(_ x: Self) -> Self
  /// tanh x
  static func tanh(_ x: Self) -> Self
  /// erf x
  static func erf(_ x: Self) -> Self
}

extension Float: Real {
  /// eˣ
  public static func exp(_ x: Float) -> Float { Foundation.exp(x) }
  /// ln x
  public static func log(_ x: Float) -> Float { Foundation.log(x) }
  /// tanh x
  public static func tanh(_ x: Float) -> Float { Foundation.tanh(x) }
  /// erf x
  public static func erf(_ x: Float) -> Float { Foundation.erf(x) }
}

extension Double: Real {
  /// eˣ
  public static func exp(_ x: Double) -> Double { Foundation.exp(x) }
  /// ln x
  public static func log(_ x: Double) -> Double { Foundation.log(x) }
  /// tanh x
  public static func tanh(_ x: Double) -> Double { Foundation.tanh(x) }
  /// erf x
  public static func erf(_ x: Double) -> Double { Foundation.erf(x) }
}

/// Ops written straight from their formulas, in any format: what fast code is measured against.
public enum Definitions {
  /// `x·Wᵀ`: x [rows, inputs], w [outputs, inputs].
  public static func linear<R: Real>(_ x: [R], _ w: [R], rows: Int, inputs: Int, outputs: Int) -> [R] {
    var y = [R](repeating: 0, count: rows * outputs)
    for i in 0..<rows {
      for o in 0..<outputs {
        var total: R = 0
        for k in 0..<inputs { total += x[i * inputs + k] * w[o * inputs + k] }
        y[i * outputs + o] = total
      }
    }
    return y
  }

  /// `x / √(mean(x²) + ε) · w`
  public static func rmsNorm<R: Real>(_ x: [R], _ w: [R], epsilon: R) -> [R] {
    let columns = w.count
    var y = x
    for row in 0..<x.count / columns {
      let place = row * columns
      var total: R = 0
      for j in 0..<columns { total += x[place + j] * x[place + j] }
      let r = 1 / (total / R(columns) + epsilon).squareRoot()
      for j in 0..<columns { y[place + j] = x[place + j] * r * w[j] }
    }
    return y
  }

  /// `(x − mean) / √(variance + ε) · w + b`
  public static func layerNorm<R: Real>(_ x: [R], _ w: [R], _ b: [R], epsilon: R) -> [R] {
    let columns = w.count
    var y = x
    for row in 0..<x.count / columns {
      let place = row * columns
      let mean = x[place..<place + columns].reduce(R(0), +) / R(columns)
      let variance = x[place..<place + columns].reduce(R(0)) { $0 + ($1 - mean) * ($1 - mean) } / R(columns)
      let r = 1 / (variance + epsilon).squareRoot()
      for j in 0..<columns { y[place + j] = (x[place + j] - mean) * r * w[j] + b[j] }
    }
    return y
  }

  /// `silu(g) · u`
  public static func swiGLU<R: Real>(_ g: [R], _ u: [R]) -> [R] { zip(g, u).map { $0 / (1 + R.exp(-$0)) * $1 } }

  /// `gelu(g) · u`, by tanh or erf.
  public static func geGLU<R: Real>(_ g: [R], _ u: [R], isTanh: Bool) -> [R] {
    zip(g, u).map { x, up in
      let inner = isTanh ? R.tanh(R((2 / Double.pi).squareRoot()) * (x + R(0.044715) * x * x * x)) : R.erf(x / R(2).squareRoot())
      return R(0.5) * x * (1 + inner) * up
    }
  }

  /// gpt-oss's gate: `g·σ(alpha·g)·(u + 1)`, g cut at the limit, u at both.
  public static func clampedSwiGLU<R: Real>(_ g: [R], _ u: [R], alpha: R, limit: R) -> [R] {
    zip(g, u).map { gate, up in
      let x = min(gate, limit)
      return x / (1 + R.exp(-alpha * x)) * (max(-limit, min(up, limit)) + 1)
    }
  }

  /// One attention row over visible keys: q [d], keys and values by index.
  public static func attentionRow<R: Real>(
    _ q: [R], keys: [[R]], values: [[R]], scale: R, softCap: R?, sink: R?
  ) -> [R] {
    let scores = keys.map { key in
      let s = zip(q, key).reduce(R(0)) { $0 + $1.0 * $1.1 } * scale
      return softCap.map { $0 * R.tanh(s / $0) } ?? s
    }
    let most = max(scores.max() ?? -.infinity, sink ?? -.infinity)
    let weights = scores.map { R.exp($0 - most) }
    let total = weights.reduce(R(0), +) + (sink.map { R.exp($0 - most) } ?? 0)
    return (0..<(values.first?.count ?? 0)).map { d in zip(weights, values).reduce(R(0)) { $0 + $1.0 * $1.1[d] } / total }
  }

  /// −log softmax(z)[target]
  public static func crossEntropy<R: Real>(_ z: [R], target: Int) -> R {
    let most = z.max() ?? 0
    return most + R.log(z.reduce(R(0)) { $0 + R.exp($1 - most) }) - z[target]
  }
}

/// Compares numbers with their float64 truth. Allowed is twice the error of the naive float32 computation, and one rounding of the largest
/// number.
public func parity(_ name: String, _ found: [Float], truth: [Double], naive: [Float]) -> CheckResult {
  guard found.count == truth.count, naive.count == truth.count else { return CheckResult(name: name, error: .infinity, tolerance: 0) }
  let errors = zip(found, truth).map { abs(Double($0) - $1) }
  let naiveError = zip(naive, truth).reduce(0.0) { max($0, abs(Double($1.0) - $1.1)) }
  let largest = truth.reduce(0.0) { max($0, abs($1)) }
  // NaN compares false with everything: it must not vanish in a maximum.
  let error = errors.contains { $0.isNaN } ? .nan : errors.max() ?? 0
  return CheckResult(name: name, error: error, tolerance: 2 * naiveError + largest * Double(Float.ulpOfOne))
}
