import SwiftletLayers
import SwiftletTensorCore

/// Updates parameters from their gradients and keeps the state that this needs.
public protocol Optimizer: AnyObject {
  /// One update of every parameter. A parameter without a gradient counts as having gradient zero: its moments fade and its weight decays.
  /// - Parameters:
  ///   - learningRate: the rate of this step.
  ///   - gradientScale: what every gradient is multiplied with first (clipping).
  func update(learningRate: Double, gradientScale: Float)
  /// Updates done so far. Waits for a GPU.
  var updates: Int { get }
  /// What is trained.
  var parameters: [Parameter] { get }
  /// The optimizer's numbers.
  var options: AdamWOptions { get }
  /// Moments and whatever else the next update depends on, by name; the same tensors that `update` writes.
  var state: [(name: String, tensor: Tensor)] { get }
  /// Takes over the number of updates; the caller fills the tensors of `state`.
  func restore(updates: Int)
  /// Bytes of state for a parameter of `count` elements: what the memory plan counts.
  static func stateBytes(count: Int) -> Int
}

/// The numbers of AdamW (Loshchilov and Hutter, 2019).
public struct AdamWOptions: Hashable, Sendable {
  /// The peak rate; the schedule scales it.
  public var learningRate = 2e-4
  /// Decoupled decay: each step multiplies weights by 1 − rate · decay.
  public var weightDecay = 0.01
  /// Decay of the mean of gradients.
  public var beta1 = 0.9
  /// Decay of the mean of squared gradients.
  public var beta2 = 0.999
  /// Added to the root of the mean of squares.
  public var epsilon = 1e-8
  /// Whether norms and biases decay too. Hugging Face's trainer leaves them out, and so do we unless told otherwise.
  public var decayNormsAndBiases = false

  /// The defaults.
  public init() {}

  /// The defaults with another rate.
  public init(learningRate: Double, weightDecay: Double = 0.01) {
    self.learningRate = learningRate
    self.weightDecay = weightDecay
  }

  /// The decay of a parameter: none for norms and biases unless asked for.
  func decay(of parameter: Parameter) -> Double {
    let parts = parameter.name.split(separator: ".").map { $0.lowercased() }
    let isNorm = parts.dropLast().contains { $0.contains("norm") }
    return (isNorm || parts.last == "bias") && !decayNormsAndBiases ? 0 : weightDecay
  }
}

/// Which optimizer, with its numbers.
public enum OptimizerChoice: Hashable, Sendable {
  /// Moments in float32: 8 bytes a trained number.
  case adamW(AdamWOptions)
  /// Moments in 8 bits with a scale for each 256: 2.03 bytes a trained number.
  case adamW8bit(AdamWOptions)
  /// As `adamW8bit` with the moments in pinned host memory, which a GPU streams through in its step; on the CPU there is nothing to page.
  case pagedAdamW8bit(AdamWOptions)

  /// AdamW with a rate.
  public static func adamW(learningRate: Double, weightDecay: Double = 0.01) -> OptimizerChoice {
    .adamW(AdamWOptions(learningRate: learningRate, weightDecay: weightDecay))
  }
  /// 8-bit AdamW with a rate.
  public static func adamW8bit(learningRate: Double, weightDecay: Double = 0.01) -> OptimizerChoice {
    .adamW8bit(AdamWOptions(learningRate: learningRate, weightDecay: weightDecay))
  }

  /// The numbers.
  public var options: AdamWOptions {
    get {
      switch self {
      case .adamW(let options), .adamW8bit(let options), .pagedAdamW8bit(let options): options
      }
    }
    set {
      switch self {
      case .adamW: self = .adamW(newValue)
      case .adamW8bit: self = .adamW8bit(newValue)
      case .pagedAdamW8bit: self = .pagedAdamW8bit(newValue)
      }
    }
  }

  /// An optimizer for `parameters`, with state zero.
  public func make(_ parameters: [Parameter]) -> any Optimizer {
    switch self {
    case .adamW(let options): AdamWOptimizer(parameters, options)
    case .adamW8bit(let options): AdamW8bitOptimizer(parameters, options)
    case .pagedAdamW8bit(let options): AdamW8bitOptimizer(parameters, options, isPaged: true)
    }
  }

  /// Bytes of state for a parameter of `count` elements.
  public func stateBytes(count: Int) -> Int {
    switch self {
    case .adamW: AdamWOptimizer.stateBytes(count: count)
    case .adamW8bit, .pagedAdamW8bit: AdamW8bitOptimizer.stateBytes(count: count)
    }
  }
}
