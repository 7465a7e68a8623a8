import SwiftletLayers
import SwiftletModels
import SwiftletOptimizers
import SwiftletTensorCore
import SwiftletTracking

/// Supervised fine-tuning of a model in memory, step by step: for programs. `TrainingSession` is the same with a run folder around it.
///
/// ```swift
/// let trainer = SFTTrainer(model, on: rows, optimizer: .adamW(learningRate: 2e-4))
/// print(trainer.memoryPlan())
/// for try await step in trainer.steps() { print(step.step, step.loss) }
/// ```
/// Trains what is trainable in the model: its adapter, or every weight where it has none.
public final class SFTTrainer {
  /// The model; its weights change with every step.
  public let model: CausalLM
  /// The recipe in effect; its model and data sections are not used.
  public let recipe: Recipe
  private let rows: [TokenRow]
  private lazy var loop = TrainingLoop(model, rows: rows, heldOut: heldOut, settled)
  private let heldOut: [TokenRow]

  /// - Parameters:
  ///   - rows: what is trained on.
  ///   - heldOut: what `evaluate` looks at.
  ///   - optimizer: overrides the recipe's.
  /// - Precondition: at least one row.
  /// - Throws: where the model has no adapter and its weights cannot be trained themselves, or a library that the recipe names is missing.
  public init(
    _ model: CausalLM, on rows: [TokenRow], heldOut: [TokenRow] = [], optimizer: OptimizerChoice? = nil, recipe: Recipe = Recipe()
  ) throws {
    precondition(!rows.isEmpty, "no rows to train on")
    self.model = model
    self.rows = rows
    self.heldOut = heldOut
    var recipe = recipe
    if let optimizer { recipe.optimizer = optimizer }
    self.recipe = recipe
    if model.trainableParameters.isEmpty { try model.makeAllTrainable() }
    try recipe.plan.apply(to: model.placement.device)
  }

  /// Steps of the whole run.
  public var totalSteps: Int { StepPlan(rows: rows.count, plan: recipe.plan, shuffle: recipe.data.shuffle).totalSteps }

  /// Bytes that training will need at its peak. Allocates nothing.
  ///
  /// On a GPU use `memoryPlan(on:)`, which is exact.
  public func memoryPlan() -> MemoryPlan {
    let longest = (rows + heldOut).reduce(0) { max($0, $1.ids.count) }
    let window = max(1, min(rows.count, recipe.plan.batchSize * recipe.plan.accumulation))
    let limit = recipe.memory.tokensAtOnce(
      longest: longest, batchSize: recipe.plan.batchSize, isGPU: model.placement.device.isCUDA)
    let tokens = longest >= limit ? longest : min(limit, longest * window)
    return MemoryPlan(model, recipe, tokens: tokens, passes: max(1, longest * window / max(1, tokens))) { 4 * $0.shape.count }
  }

  /// The bytes that training will need at its peak on a GPU: the largest steps run on a simulated one.
  public func memoryPlan(on gpu: PlannedGPU) throws -> MemoryPlan { try MemoryPlan(recipe, on: gpu, rows: rows, make: model.twin) }

  /// The recipe with what depends on the GPU chosen; where that cannot be, every block is computed again.
  private var settled: Recipe {
    let device = model.placement.device
    guard device.isCUDA else { return recipe }
    return (try? recipe.settled(on: PlannedGPU(device.gpu), stored: .bfloat16, rows: rows, make: model.twin)) ?? recipe
  }

  /// One optimizer step; nil after the last.
  /// - Throws: `TrainingError` after three steps in a row whose loss or gradient is not finite.
  public func step() throws -> StepMetrics? { loop.isDone ? nil : try loop.step() }

  /// The loss on the held-out rows; nil where there are none.
  public func evaluate() -> EvaluationMetrics? { loop.evaluate() }

  /// The remaining steps, each done when it is asked for.
  public func steps() -> Steps { Steps(trainer: self) }

  /// Steps of a trainer.
  public struct Steps: AsyncSequence {
    let trainer: SFTTrainer
    /// An iterator; several share the trainer's progress.
    public func makeAsyncIterator() -> Iterator { Iterator(trainer: trainer) }

    /// Does a step each time.
    public struct Iterator: AsyncIteratorProtocol {
      let trainer: SFTTrainer
      /// The next step's figures; nil after the last or when the task was cancelled.
      public mutating func next() async throws -> StepMetrics? { Task.isCancelled ? nil : try trainer.step() }
      /// The same, on the caller's actor.
      public mutating func next(isolation actor: isolated (any Actor)?) async throws(any Error) -> StepMetrics? {
        Task.isCancelled ? nil : try trainer.step()
      }
    }
  }
}
