import SwiftletCUDA
import SwiftletLayers
import SwiftletOps
import SwiftletTensorCore

/// AdamW with moments in float32.
public final class AdamWOptimizer: Optimizer {
  private struct Entry {
    let parameter: Parameter
    let m: Tensor
    let v: Tensor
    let decay: Float
  }

  private let entries: [Entry]
  /// The optimizer's numbers.
  public let options: AdamWOptions
  private var done = 0
  private let onGPU: GPUOptimizer?

  /// State zero for each parameter.
  /// - Precondition: parameters are trainable, so float32.
  public init(_ parameters: [Parameter], _ options: AdamWOptions) {
    self.options = options
    let device = GPUOptimizer.device(of: parameters)
    func zeros(_ parameter: Parameter) -> Tensor { Tensor(zeros: parameter.shape, part: .optimizer, on: device ?? .cpu) }
    let entries = parameters.map { Entry(parameter: $0, m: zeros($0), v: zeros($0), decay: Float(options.decay(of: $0))) }
    self.entries = entries
    onGPU = device.map { device in
      let moments = entries.map {
        GPUAdamW.Moments(count: $0.m.count, m: $0.m.address, v: $0.v.address, decay: options.decay(of: $0.parameter))
      }
      return GPUOptimizer(parameters, options, moments: moments, on: device)
    }
  }

  /// What is trained.
  public var parameters: [Parameter] { entries.map(\.parameter) }
  /// Updates done so far.
  public var updates: Int { onGPU?.updates ?? done }

  /// One update of every parameter.
  public func update(learningRate: Double, gradientScale: Float) {
    if let onGPU { return onGPU.step(learningRate: learningRate, maximumNorm: 0, gradientScale: Double(gradientScale)) }
    done += 1
    for entry in entries {
      let gradient = entry.parameter.gradient ?? Tensor(zeros: entry.parameter.shape, part: .gradients)
      entry.parameter.update { value in
        AdamW.update(
          parameter: value, gradient: gradient, m: entry.m, v: entry.v, step: done, learningRate: Float(learningRate),
          beta1: Float(options.beta1), beta2: Float(options.beta2), epsilon: Float(options.epsilon), weightDecay: entry.decay,
          gradientScale: gradientScale)
      }
    }
  }

  /// `<parameter>.m` and `<parameter>.v`.
  public var state: [(name: String, tensor: Tensor)] {
    entries.flatMap { [($0.parameter.name + ".m", $0.m), ($0.parameter.name + ".v", $0.v)] }
  }

  /// Takes over the number of updates.
  public func restore(updates: Int) {
    done = updates
    onGPU?.restore(updates: updates)
  }

  /// Two float32 a number.
  public static func stateBytes(count: Int) -> Int { 8 * count }
}

extension AdamWOptimizer: GPUOptimizing {
  var gpu: GPUOptimizer? { onGPU }
}
