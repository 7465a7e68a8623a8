import Foundation
import SwiftletTensorCore

/// How rotary frequencies are stretched for contexts longer than those of pre-training.
///
/// `dynamic` and `longRoPE` depend on the length. Here it is the length of each sequence by itself, packed or batched with others or alone:
/// a row has the same loss and the same answers whatever stands beside it, and a batch of 8 is 8 batches of 1. Hugging Face takes the longest
/// row of the batch for all its rows (for `dynamic` even the longest since the last short batch), so that a short row beside a long one is
/// turned by other frequencies than alone, in training by chance of the shuffle. Results are equal where all rows of the batch lie on the same
/// side of the original length (`longRoPE`), are no longer than `maxPositions` or equally long (`dynamic`), and always for single rows.
public enum RotaryScaling: Hashable, Sendable {
  case none
  /// All frequencies divided by `factor` (Chen et al., 2023).
  case linear(factor: Double)
  /// The base grows with the sequence once it is longer than `maxPositions` (NTK-aware, dynamic).
  case dynamic(factor: Double, maxPositions: Int)
  /// Low frequencies divided by `factor`, high ones kept, those between blended (Llama 3.1).
  case llama3(factor: Double, lowFrequency: Double, highFrequency: Double, originalPositions: Int)
  /// YaRN (Peng et al., 2023): blended by dimension; `attention` multiplies cos and sin.
  case yarn(factor: Double, betaFast: Double, betaSlow: Double, originalPositions: Int, attention: Double, truncate: Bool)
  /// LongRoPE (Ding et al., 2024): a factor for each frequency; the long ones for sequences over `originalPositions` tokens.
  case longRoPE(short: [Double], long: [Double], originalPositions: Int, attention: Double)
}

/// Rotary position embedding (Su et al., 2021): which dimensions turn how fast.
public final class Rotary: Sendable {
  /// Number of turned dimensions of a head, even; the others stay as they are.
  public let dimension: Int
  /// Base of the wavelengths.
  public let theta: Double
  /// The stretching.
  public let scaling: RotaryScaling
  /// Whether pairs are neighbours (2i, 2i+1) instead of halves (i, i + dimension/2).
  public let interleaved: Bool

  /// - Precondition: `dimension` is even and positive; LongRoPE's lists have `dimension / 2` factors.
  public init(dimension: Int, theta: Double, scaling: RotaryScaling = .none, interleaved: Bool = false) {
    precondition(dimension > 0 && dimension % 2 == 0, "rotary dimension \(dimension) is not even")
    self.dimension = dimension
    self.theta = theta
    self.scaling = scaling
    self.interleaved = interleaved
  }

  /// Whether keys computed in a sequence of `old` tokens are wrong once it has `new`: the engine then computes the prompt again.
  public func isStale(from old: Int, to new: Int) -> Bool {
    if case .longRoPE(_, _, let original, _) = scaling { return (old > original) != (new > original) }
    return false
  }

  /// Whether the frequencies depend on how long a sequence is.
  var dependsOnLength: Bool {
    switch scaling {
    case .none, .linear, .llama3, .yarn: false
    case .dynamic, .longRoPE: true
    }
  }

  /// Angle per position for each pair in a sequence of `length` tokens, and the factor of cos and sin. Rounded to float32 where the
  /// reference rounds, because long positions multiply the rounding.
  public func frequencies(length: Int) -> (inverse: [Float], attention: Float) {
    switch scaling {
    case .none: (plain(theta), 1)
    case .linear(let factor): (plain(theta).map { $0 / Float(factor) }, 1)
    case .dynamic(let factor, let maxPositions): (dynamic(factor, maxPositions, length), 1)
    case .llama3(let factor, let low, let high, let original): (llama3(factor, low, high, Double(original)), 1)
    case .yarn(let factor, let fast, let slow, let original, let attention, let truncate):
      (yarn(factor, correction(fast, slow, Double(original), truncate)), Float(attention))
    case .longRoPE(let short, let long, let original, let attention):
      (zip(length > original ? long : short, powers(theta)).map { 1 / (Float($0) * $1) }, Float(attention))
    }
  }

  private func powers(_ base: Double) -> [Float] {
    stride(from: 0, to: dimension, by: 2).map { Float(pow(base, Double(Float($0) / Float(dimension)))) }
  }

  private func plain(_ base: Double) -> [Float] { powers(base).map { 1 / $0 } }

  private func dynamic(_ factor: Double, _ maxPositions: Int, _ length: Int) -> [Float] {
    let ratio = Double(max(length, maxPositions)) / Double(maxPositions)
    let exponent = dimension > 2 ? Double(dimension) / Double(dimension - 2) : 1
    return plain(theta * pow(factor * ratio - (factor - 1), exponent))
  }

  private func llama3(_ factor: Double, _ low: Double, _ high: Double, _ original: Double) -> [Float] {
    plain(theta).map { frequency in
      let wavelength = 2 * Double.pi / Double(frequency)
      if wavelength < original / high { return frequency }
      if wavelength > original / low { return frequency / Float(factor) }
      let smooth = Float((original / wavelength - low) / (high - low))
      return (1 - smooth) * frequency / Float(factor) + smooth * frequency
    }
  }

  /// The pairs between which YaRN blends from kept to stretched.
  private func correction(_ fast: Double, _ slow: Double, _ original: Double, _ truncate: Bool) -> (low: Double, high: Double) {
    func place(_ rotations: Double) -> Double { Double(dimension) * log(original / (rotations * 2 * .pi)) / (2 * log(theta)) }
    let (low, high) = truncate ? (place(fast).rounded(.down), place(slow).rounded(.up)) : (place(fast), place(slow))
    return (max(low, 0), min(high, Double(dimension - 1)))
  }

  private func yarn(_ factor: Double, _ range: (low: Double, high: Double)) -> [Float] {
    let width = range.low == range.high ? 0.001 : range.high - range.low
    return powers(theta).enumerated().map { index, power in
      let stretched = Float(min(max((Double(index) - range.low) / width, 0), 1))
      return 1 / (Float(factor) * power) * stretched + 1 / power * (1 - stretched)
    }
  }

  /// cos and sin, `[tokens, dimension / 2]`, for sequences that start at `starts` in the stream and are `lengths` long.
  func tables(positions: [Int32], starts: [Int], lengths: [Int], on device: Device) -> (cos: Tensor, sin: Tensor) {
    let (cos, sin) = tables(positions: positions, starts: starts, lengths: lengths)
    return (cos.moved(to: device), sin.moved(to: device))
  }

  private func tables(positions: [Int32], starts: [Int], lengths: [Int]) -> (cos: Tensor, sin: Tensor) {
    let half = dimension / 2
    let cosines = Tensor(uninitialized: [positions.count, half])
    let sines = Tensor(uninitialized: [positions.count, half])
    let (c, s) = (cosines.floats, sines.floats)
    var known: (length: Int, frequencies: (inverse: [Float], attention: Float))?
    for sequence in lengths.indices {
      let frequencies = known?.length == lengths[sequence] ? known!.frequencies : self.frequencies(length: lengths[sequence])
      known = (lengths[sequence], frequencies)
      for token in starts[sequence]..<starts[sequence + 1] {
        for pair in 0..<half {
          let angle = Double(Float(positions[token]) * frequencies.inverse[pair])
          c[token * half + pair] = Float(cos(angle)) * frequencies.attention
          s[token * half + pair] = Float(sin(angle)) * frequencies.attention
        }
      }
    }
    return (cosines, sines)
  }
}
