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
  private let options: AdamWOptions
  /// Updates done so far.
  public private(set) var updates = 0

  /// State zero for each parameter.
  /// - Precondition: parameters are trainable, so float32.
  public init(_ parameters: [Parameter], _ options: AdamWOptions) {
    self.options = options
    entries = parameters.map {
      Entry(
        parameter: $0, m: Tensor(zeros: $0.shape, part: .optimizer), v: Tensor(zeros: $0.shape, part: .optimizer),
        decay: Float(options.decay(of: $0)))
    }
  }

  /// One update of every parameter.
  public func update(learningRate: Double, gradientScale: Float) {
    updates += 1
    for entry in entries {
      let gradient = entry.parameter.gradient ?? Tensor(zeros: entry.parameter.shape, part: .gradients)
      entry.parameter.update { value in
        AdamW.update(
          parameter: value, gradient: gradient, m: entry.m, v: entry.v, step: updates, learningRate: Float(learningRate),
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
  public func restore(updates: Int) { self.updates = updates }

  /// Two float32 a number.
  public static func stateBytes(count: Int) -> Int { 8 * count }
}
