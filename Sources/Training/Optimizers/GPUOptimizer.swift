import SwiftletCUDA
import SwiftletLayers
import SwiftletOps
import SwiftletTensorCore

/// The part of an AdamW optimizer that runs on a GPU: all parameters in one launch, their rounded copies with them.
final class GPUOptimizer {
  private let parameters: [Parameter]
  private let options: AdamWOptions
  let adam: GPUAdamW

  /// - Parameter moments: in the order of `parameters`, all on the GPU of the first, or in pinned host memory.
  init(_ parameters: [Parameter], _ options: AdamWOptions, moments: [GPUAdamW.Moments], on device: Device) {
    precondition(parameters.allSatisfy { $0.device == device }, "the parameters of an optimizer lie on one device")
    (self.parameters, self.options) = (parameters, options)
    adam = GPUAdamW(moments, on: device)
  }

  /// The GPU of parameters; nil where they are in host memory.
  static func device(of parameters: [Parameter]) -> Device? {
    parameters.first.flatMap { $0.isMaterialized && $0.device.isCUDA ? $0.device : nil }
  }

  /// Updates done. Waits for the GPU.
  var updates: Int { adam.report.updates }

  func restore(updates: Int) { adam.restore(updates: updates, beta1: options.beta1, beta2: options.beta2) }

  func step(learningRate: Double, maximumNorm: Double, gradientScale: Double, lossScaling: LossScaling? = nil) {
    parameters.first.map { PageQueue.finish($0.device) }
    let numbers = parameters.map { GPUAdamW.Numbers(value: $0.value, gradient: $0.gradient, copy: $0.computeCopy) }
    adam.step(
      numbers,
      GPUAdamW.Rule(
        rate: learningRate, beta1: options.beta1, beta2: options.beta2, epsilon: options.epsilon, maximumNorm: maximumNorm,
        gradientScale: gradientScale, growthInterval: lossScaling?.growthInterval ?? 0))
    for parameter in parameters { parameter.noteUpdate() }
  }
}

/// An optimizer that knows the part of it on a GPU.
protocol GPUOptimizing: AnyObject {
  /// nil where the parameters are in host memory.
  var gpu: GPUOptimizer? { get }
}

extension Optimizer {
  fileprivate var gpu: GPUOptimizer? { (self as? any GPUOptimizing)?.gpu }
}

/// What became of an optimizer step. On a GPU it is not known when the step returns: reading waits.
public struct StepOutcome {
  private enum Source {
    case known(norm: Double, isSkipped: Bool)
    case pending(GPUAdamW)
  }
  private let source: Source

  init(norm: Double, isSkipped: Bool) { source = .known(norm: norm, isSkipped: isSkipped) }
  init(_ adam: GPUAdamW) { source = .pending(adam) }

  /// The L2 norm of all gradients before clipping, and whether the step was left out because it is not finite. Of a GPU it tells of the
  /// last step that was queued. Waits.
  public var values: (norm: Double, isSkipped: Bool) {
    switch source {
    case .known(let norm, let isSkipped): return (norm, isSkipped)
    case .pending(let adam):
      let report = adam.report
      return (report.norm, report.isSkipped)
    }
  }
}

extension Optimizer {
  /// One update with gradients clipped to a norm; left out where the norm is not finite.
  ///
  /// On a GPU the host does not wait: norm, factor and the decision stay there.
  /// - Parameters:
  ///   - maximumNorm: 0 for no clipping.
  ///   - lossScaling: where the loss was multiplied with `lossScale`; it grows and shrinks on the GPU.
  public func step(learningRate: Double, maximumNorm: Double, lossScaling: LossScaling? = nil) -> StepOutcome {
    if let gpu {
      gpu.step(learningRate: learningRate, maximumNorm: maximumNorm, gradientScale: 1, lossScaling: lossScaling)
      return StepOutcome(gpu.adam)
    }
    let norm = gradientNorm(parameters.compactMap(\.gradient))
    if norm.isFinite {
      update(learningRate: learningRate, gradientScale: maximumNorm > 0 ? clipFactor(norm: norm, maximum: maximumNorm) : 1)
    }
    return StepOutcome(norm: norm, isSkipped: !norm.isFinite)
  }

  /// What losses are multiplied with before backward, float32 [1] on the GPU; nil on the CPU, where nothing needs it.
  public var lossScale: Tensor? { gpu?.adam.lossScale }

  /// Begins loss scaling on a GPU, or goes on with it.
  public func start(_ scaling: LossScaling) {
    guard let gpu else { return }
    gpu.adam.restore(
      updates: gpu.updates, beta1: options.beta1, beta2: options.beta2, lossScale: scaling.scale, goodSteps: scaling.goodSteps)
  }

  /// What loss scaling has come to on a GPU; nil on the CPU. Waits for the GPU.
  public func now(_ scaling: LossScaling) -> LossScaling? {
    // A simulated GPU reports zeros.
    guard let report = gpu?.adam.report, report.lossScale >= 1 else { return nil }
    return LossScaling(scale: report.lossScale, goodSteps: report.goodSteps, growthInterval: scaling.growthInterval)
  }
}
