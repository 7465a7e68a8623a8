#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// How a rate rises to its peak or falls from it, over a progress from 0 to 1.
public enum RampShape: String, Hashable, Sendable, CaseIterable {
  case linear, cosine
  /// One minus a square root.
  case oneMinusSqrt = "1-sqrt"

  /// The share of the peak at `progress` of a rise.
  func rising(_ progress: Double) -> Double {
    switch self {
    case .linear: progress
    case .cosine: 0.5 * (1 - cos(.pi * progress))
    case .oneMinusSqrt: 1 - (1 - progress).squareRoot()
    }
  }

  /// The share of the peak at `progress` of a fall of `cycles` full cosine waves.
  func falling(_ progress: Double, cycles: Double) -> Double {
    switch self {
    case .linear: 1 - progress
    case .cosine: 0.5 * (1 + cos(.pi * cycles * 2 * progress))
    case .oneMinusSqrt: 1 - progress.squareRoot()
    }
  }
}

/// The learning rate as a function of the step: the schedules of Hugging Face transformers, to the last digit.
///
/// A warm-up counts steps; below 1 it is a share of all steps, rounded up. During it the rate rises from 0 to the peak in a straight
/// line, so step 0 of a run with warm-up changes nothing.
public enum Schedule: Hashable, Sendable {
  /// The peak rate all the way after the warm-up.
  case constant(warmup: Double = 0)
  /// Down to zero in a straight line.
  case linear(warmup: Double = 0)
  /// Along `cycles` cosine waves (one half wave by default) down to `minimum` times the peak.
  case cosine(warmup: Double = 0, cycles: Double = 0.5, minimum: Double = 0)
  /// `cycles` half waves, each starting at the peak again.
  case cosineWithRestarts(warmup: Double = 0, cycles: Int = 1)
  /// Down to the rate `end` (a rate, not a share) as a power of what is left.
  case polynomial(warmup: Double = 0, power: Double = 1, end: Double = 1e-7)
  /// As one over the square root of the step; `timescale` defaults to the warm-up, or 10,000 without one.
  case inverseSquareRoot(warmup: Double = 0, timescale: Int? = nil)
  /// Warm-up, a plateau, then `decay` steps (below 1: a share of all steps) down to `minimum` times the peak.
  case warmupStableDecay(
    warmup: Double = 0, decay: Double = 0.1, warmupShape: RampShape = .linear, decayShape: RampShape = .linear, minimum: Double = 0,
    cycles: Double = 0.5)

  /// The rate of step `step` (from 0) in a run of `total` steps whose peak rate is `peak`.
  public func rate(step: Int, total: Int, peak: Double) -> Double { peak * factor(step: step, total: total, peak: peak) }

  /// Steps of a length that is a count, or below 1 a share of `total`.
  static func steps(_ length: Double, of total: Int) -> Int {
    let steps = length > 0 && length < 1 ? (length * Double(total)).rounded(.up) : length.rounded()
    return Int(exactly: steps) ?? 0
  }

  private var warmup: Double {
    switch self {
    case .constant(let warmup), .linear(let warmup), .cosine(let warmup, _, _), .cosineWithRestarts(let warmup, _): warmup
    case .polynomial(let warmup, _, _), .inverseSquareRoot(let warmup, _), .warmupStableDecay(let warmup, _, _, _, _, _): warmup
    }
  }

  private func factor(step: Int, total: Int, peak: Double) -> Double {
    let warmup = Schedule.steps(warmup, of: total)
    if step < warmup { return rise(Double(step) / Double(max(1, warmup))) }
    let progress = Double(step - warmup) / Double(max(1, total - warmup))
    switch self {
    case .constant: return 1
    case .linear: return max(0, Double(total - step) / Double(max(1, total - warmup)))
    case .cosine(_, let cycles, let minimum):
      return max(0, RampShape.cosine.falling(progress, cycles: cycles) * (1 - minimum) + minimum)
    case .cosineWithRestarts(_, let cycles):
      guard progress < 1 else { return 0 }
      let phase = Double(cycles) * progress
      return max(0, 0.5 * (1 + cos(.pi * (phase - phase.rounded(.down)))))
    case .polynomial(_, let power, let end):
      guard step <= total, peak > 0 else { return peak > 0 ? end / peak : 0 }
      return ((peak - end) * pow(1 - Double(step - warmup) / Double(max(1, total - warmup)), power) + end) / peak
    case .inverseSquareRoot(_, let timescale):
      let scale = timescale ?? (warmup > 0 ? warmup : 10_000)
      return 1 / (Double(step + scale - warmup) / Double(max(1, scale))).squareRoot()
    case .warmupStableDecay(_, let decay, _, let shape, let minimum, let cycles):
      let length = Schedule.steps(decay, of: total)
      let start = max(warmup, total - length)
      if step < start { return 1 }
      guard step < start + length else { return minimum }
      return max(0, shape.falling(Double(step - start) / Double(max(1, length)), cycles: cycles) * (1 - minimum) + minimum)
    }
  }

  /// The share of the peak at `progress` of the warm-up.
  private func rise(_ progress: Double) -> Double {
    guard case .warmupStableDecay(_, _, let shape, _, let minimum, _) = self else { return progress }
    return max(0, shape.rising(progress) * (1 - minimum) + minimum)
  }
}
