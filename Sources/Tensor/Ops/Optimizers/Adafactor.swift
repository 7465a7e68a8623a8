import Foundation
import SwiftletTensorCore

/// Adafactor (Shazeer and Stern, 2018): second moments of matrices kept as one number per row and per column.
///
/// PyTorch's and transformers' versions differ in what they bound and when; both are here.
public enum Adafactor {
  /// Second moments: rows and columns of a matrix, or each element of a vector; all begin as zeros.
  public struct State {
    /// [rows] and [columns] of a matrix.
    public let factors: (rows: Tensor, columns: Tensor)?
    /// The shape of a vector.
    public let full: Tensor?
    /// First moment; only with β₁.
    public let first: Tensor?

    /// Zeros for a parameter.
    public init(for shape: Shape, hasFirstMoment: Bool = false) {
      let isMatrix = shape.rank > 1
      factors = isMatrix ? (Tensor(zeros: [shape.rows], part: .optimizer), Tensor(zeros: [shape.columns], part: .optimizer)) : nil
      full = isMatrix ? nil : Tensor(zeros: shape, part: .optimizer)
      first = hasFirstMoment ? Tensor(zeros: shape, part: .optimizer) : nil
    }
  }

  /// One step of transformers' version, in place.
  ///
  /// - Parameters:
  ///   - learningRate: nil for the relative step min(10⁻⁶·t or 10⁻², 1/√t).
  ///   - epsilon: added to g², and least parameter scale.
  ///   - scaleParameter: multiply the rate by max(ε₂, RMS(p)).
  ///   - warmup: use 10⁻⁶·t in the relative step.
  public static func updateHF(
    parameter: Tensor, gradient: Tensor, state: State, step: Int, learningRate: Float?, epsilon: (Float, Float) = (1e-30, 1e-3),
    clipThreshold: Float = 1, decayRate: Float = -0.8, beta1: Float? = nil, weightDecay: Float = 0, scaleParameter: Bool = true,
    warmup: Bool = false, gradientScale: Float = 1
  ) {
    check(parameter, [gradient])
    let relative = min(warmup ? 1e-6 * Double(step) : 1e-2, 1 / Double(step).squareRoot())
    let scale = scaleParameter ? max(Double(epsilon.1), rootMeanSquare(parameter)) : 1
    let rate = (learningRate.map(Double.init) ?? relative) * scale
    let gain = Float(Foundation.pow(Double(step), Double(decayRate)))
    let move = Tensor(uninitialized: parameter.shape, part: .workspace)
    let (u, g, p) = (move.pointer, gradient.pointer, parameter.pointer)
    for i in 0..<move.count { u[i] = g[i] * gradientScale }
    state.blend(move, gain: gain) { $0 * $0 + epsilon.0 }
    if let (rows, columns) = state.factors {
      let mean = rows.floats.reduce(0, +) / Float(rows.count)
      for i in 0..<rows.count {
        let r = 1 / (rows.pointer[i] / mean).squareRoot()
        for j in 0..<columns.count { u[i * columns.count + j] *= r / columns.pointer[j].squareRoot() }
      }
    } else if let full = state.full {
      for i in 0..<move.count { u[i] /= full.pointer[i].squareRoot() }
    }
    let factor = Float(rate / max(1, rootMeanSquare(move) / Double(clipThreshold)))
    for i in 0..<move.count {
      var value = u[i] * factor
      if let beta1, let first = state.first {
        first.pointer[i] = beta1 * first.pointer[i] + (1 - beta1) * value
        value = first.pointer[i]
      }
      p[i] -= weightDecay * Float(rate) * p[i] + value
    }
  }

  /// One step of PyTorch's version, in place: p ← p(1 − ηλ) − max(ε₂, RMS(p))·min(η, 1/√t) · u / max(1, RMS(u)/d).
  /// - Parameter epsilon: nil stands for float32's machine epsilon.
  public static func updateTorch(
    parameter: Tensor, gradient: Tensor, state: State, step: Int, learningRate: Float = 1e-2, beta2Decay: Float = -0.8,
    epsilon: (Float?, Float) = (nil, 1e-3), d: Float = 1, weightDecay: Float = 0, gradientScale: Float = 1
  ) {
    check(parameter, [gradient])
    let least = epsilon.0 ?? Float.ulpOfOne
    let gain = Float(Foundation.pow(Double(step), Double(beta2Decay)))
    let alpha = max(Double(epsilon.1), rootMeanSquare(parameter)) * min(Double(learningRate), 1 / Double(step).squareRoot())
    let move = Tensor(uninitialized: parameter.shape, part: .workspace)
    let (u, g, p) = (move.pointer, gradient.pointer, parameter.pointer)
    for i in 0..<move.count { u[i] = g[i] * gradientScale }
    state.blend(move, gain: gain) { $0 * $0 }
    if let (rows, columns) = state.factors {
      let mean = max(least, rows.floats.reduce(0, +) / Float(rows.count))
      for i in 0..<rows.count {
        for j in 0..<columns.count {
          let variance = rows.pointer[i] * columns.pointer[j] / mean
          u[i * columns.count + j] /= max(variance, least * least).squareRoot()
        }
      }
    } else if let full = state.full {
      for i in 0..<move.count { u[i] /= max(full.pointer[i], least * least).squareRoot() }
    }
    let factor = Float(alpha / max(1, rootMeanSquare(move) / Double(d)))
    let keep = Float(1 - Double(learningRate) * Double(weightDecay))
    for i in 0..<move.count { p[i] = p[i] * keep - factor * u[i] }
  }

  private static func rootMeanSquare(_ x: Tensor) -> Double { gradientNorm([x]) / Double(max(x.count, 1)).squareRoot() }
}

extension Adafactor.State {
  /// Moves the moments towards those of `square(g)` by `gain`.
  fileprivate func blend(_ gradient: Tensor, gain: Float, _ square: (Float) -> Float) {
    let g = gradient.pointer
    if let full {
      for i in 0..<full.count { full.pointer[i] += gain * (square(g[i]) - full.pointer[i]) }
    }
    guard let (rows, columns) = factors else { return }
    var sums = [Float](repeating: 0, count: columns.count)
    for i in 0..<rows.count {
      var total: Float = 0
      for j in 0..<columns.count {
        let value = square(g[i * columns.count + j])
        total += value
        sums[j] += value
      }
      rows.pointer[i] += gain * (total / Float(columns.count) - rows.pointer[i])
    }
    for j in 0..<columns.count { columns.pointer[j] += gain * (sums[j] / Float(rows.count) - columns.pointer[j]) }
  }
}
