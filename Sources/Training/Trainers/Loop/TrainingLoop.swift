import SwiftletCPU
import SwiftletCUDA
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletOptimizers
import SwiftletTensorCore
import SwiftletTracking

/// Training cannot go on.
public struct TrainingError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was wanted, what was found, what to do.
  public let description: String
  /// An error.
  public init(_ description: String) { self.description = description }
}

/// What the next step depends on, besides weights and moments.
public struct LoopState: Hashable, Sendable {
  /// Optimizer steps done: the data cursor, too.
  public var step = 0
  /// Updates done: steps less the skipped ones.
  public var updates = 0
  /// Steps skipped because loss or gradient was not finite.
  public var skipped = 0
  /// The same, in a row up to now.
  public var skippedInRow = 0
  /// Tokens that went through the model so far.
  public var tokens = 0
  /// float16 on a GPU: the scale of the next loss.
  public var lossScaling: LossScaling?
}

/// Step after step: rows, gradients, clipping, update. Knows no files.
final class TrainingLoop {
  /// Steps with a loss or gradient that is not finite, after which training stops.
  static let patience = 3

  let model: CausalLM
  let parameters: [Parameter]
  let optimizer: any Optimizer
  let plan: StepPlan
  private(set) var state = LoopState()
  private let rows: [TokenRow]
  private let heldOut: [TokenRow]
  private let recipe: Recipe
  private let order: RowOrder
  private var window: GradientWindow
  private let longestRow: Int
  /// float16 only.
  private let lossScaling: LossScaling?
  private let clock = ContinuousClock()

  /// - Precondition: at least one row and one trainable parameter.
  init(_ model: CausalLM, rows: [TokenRow], heldOut: [TokenRow], _ recipe: Recipe) {
    self.model = model
    self.rows = rows
    self.heldOut = heldOut
    self.recipe = recipe
    parameters = model.trainableParameters
    precondition(!parameters.isEmpty, "nothing to train")
    optimizer = recipe.optimizer.make(parameters)
    plan = StepPlan(rows: rows.count, plan: recipe.plan, shuffle: recipe.data.shuffle)
    order = RowOrder(plan)
    // Who saves memory by tiles has none for buffers either.
    if model.placement.device.isCUDA {
      forgetDequantizedSlots(on: model.placement.device)
      model.placement.device.gpu.dequantizationSlots = recipe.memory.tileRows > 0 ? 0 : 2
    }
    let longest = (rows + heldOut).reduce(1) { max($0, $1.ids.count) }
    longestRow = longest
    lossScaling = model.placement.computeType == .float16 ? LossScaling() : nil
    if let lossScaling { optimizer.start(lossScaling) }
    window = GradientWindow(
      model: model, checkpointing: recipe.memory.checkpointing,
      tokensAtOnce: recipe.memory.tokensAtOnce(
        longest: longest, batchSize: recipe.plan.batchSize, isGPU: model.placement.device.isCUDA),
      offload: recipe.memory.offload == .host ? .host : .device,
      tileRows: recipe.memory.tileRows > 0 ? recipe.memory.tileRows : nil)
  }

  var isDone: Bool { state.step >= plan.totalSteps }

  /// Goes on from a state whose weights and moments are in place.
  func restore(_ state: LoopState) {
    self.state = state
    optimizer.restore(updates: state.updates)
    if lossScaling != nil, let scaling = state.lossScaling { optimizer.start(scaling) }
  }

  /// One optimizer step.
  ///
  /// Where a GPU runs out of memory half as many tokens go through at a time from then on, and the step is done again: the rows of a step,
  /// and so the loss, stay.
  /// - Throws: `TrainingError` after `patience` steps in a row whose loss or gradient is not finite, or where the device fails. Weights are as
  ///   before them.
  func step() throws -> StepMetrics {
    while true {
      do { return try attempt() } catch let error as CUDAError {
        model.clearGradients()
        guard error.isOutOfMemory, window.tokensAtOnce > longestRow else { throw TrainingError("step \(state.step + 1): \(error)") }
        window.tokensAtOnce = max(longestRow, window.tokensAtOnce / 2)
      }
    }
  }

  private func attempt() throws -> StepMetrics {
    let start = clock.now
    let batch = order.rows(step: state.step).map { rows[$0] }
    let random = Random(seed: plan.seed, stream: 0x6472_6F70).split(UInt64(state.step))
    let rate = recipe.schedule.rate(step: state.step, total: plan.totalSteps, peak: recipe.optimizer.options.learningRate)
    var result = window.gradients(batch, random: random, lossScale: lossScaling == nil ? nil : optimizer.lossScale)
    // On a GPU the update is queued before loss and norm are known: it leaves itself out where the norm is not finite.
    let outcome =
      result.isFinite ? optimizer.step(learningRate: rate, maximumNorm: recipe.plan.maxGradNorm, lossScaling: lossScaling) : nil
    result.settle()
    let (norm, isSkipped) = outcome?.values ?? (.nan, true)
    if model.placement.device.isCUDA { try model.placement.device.gpu.check() }
    if let lossScaling { state.lossScaling = optimizer.now(lossScaling) }
    if isSkipped {
      try skip(batch, result)
    } else {
      state.updates += 1
      state.skippedInRow = 0
    }
    model.clearGradients()
    if model.placement.device.isCUDA { model.placement.device.gpu.blas.runTrials() }
    state.step += 1
    state.tokens += result.tokens
    let seconds = max(1e-9, (clock.now - start).seconds)
    return StepMetrics(
      step: state.step, totalSteps: plan.totalSteps, epoch: plan.epoch(after: state.step), loss: result.loss, learningRate: rate,
      gradientNorm: norm, tokens: result.tokens, trainedTokens: result.trainedTokens, tokensPerSecond: Double(result.tokens) / seconds,
      peakMemoryBytes: peakMemoryBytes, skipped: isSkipped)
  }

  private var peakMemoryBytes: Int {
    let device = model.placement.device
    return device.isCUDA ? device.gpu.memory.peakBytes : HostMemory.peakBytes
  }

  private func skip(_ batch: [TokenRow], _ result: GradientWindow.Result) throws {
    state.skipped += 1
    state.skippedInRow += 1
    // A scale that begins too large is halved by each step that is left out.
    guard state.skippedInRow >= (lossScaling == nil ? TrainingLoop.patience : 24) else { return }
    let cause = window.diagnosis(batch)
    model.clearGradients()
    throw TrainingError(
      """
      \(TrainingLoop.patience) steps in a row gave a loss or gradient that is not a finite number
      at step \(state.step + 1) (loss \(result.loss)): \(cause)
      fix: lower the learning rate or train longer warm-up; the last good checkpoint is kept
      """)
  }

  /// The loss on the held-out rows; nil where there are none.
  func evaluate() -> EvaluationMetrics? {
    if heldOut.isEmpty { return nil }
    let result = window.evaluate(heldOut)
    return EvaluationMetrics(
      step: state.step, epoch: plan.epoch(after: state.step), loss: result.loss, rows: heldOut.count, trainedTokens: result.trainedTokens)
  }

  /// Whether held-out rows are evaluated after the present step.
  var isEvaluationDue: Bool {
    let every = recipe.evaluation.every
    return !heldOut.isEmpty && (isDone || (every > 0 && state.step % every == 0))
  }
}

extension Duration {
  /// The length in seconds.
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
