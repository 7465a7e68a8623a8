import SwiftletCPU
import SwiftletModels
import SwiftletOptimizers
import SwiftletTrainers
import SwiftletTracking
import Testing

extension TrainingTests {
  @Suite(.serialized) struct LoopTests {
    private func train(
      _ config: String = Tiny.llama, lora: LoRA? = LoRA(rank: 4, alpha: 8, dropout: 0.1), rows: [TokenRow] = Tiny.rows(16), steps: Int = 4,
      _ change: (inout Recipe) -> Void = { _ in }
    ) throws -> (losses: [Double], norms: [Double], weights: [Float]) {
      var recipe = Recipe()
      recipe.plan.steps = steps
      recipe.optimizer = .adamW(learningRate: 5e-3)
      recipe.memory.tokensAtOnce = 40
      change(&recipe)
      let model = try Tiny.model(config, lora: lora)
      let trainer = try SFTTrainer(model, on: rows, recipe: recipe)
      var (losses, norms): ([Double], [Double]) = ([], [])
      while let step = try trainer.step() {
        losses.append(step.loss)
        norms.append(step.gradientNorm)
      }
      return (losses, norms, Tiny.weights(model))
    }

    private func same(
      _ a: (losses: [Double], norms: [Double], weights: [Float]), _ b: (losses: [Double], norms: [Double], weights: [Float])
    )
      -> Bool
    {
      a.losses == b.losses && a.norms == b.norms && a.weights == b.weights
    }

    /// How a step is cut into batches, checkpointing and threads change not a bit, for adapters and for whole models.
    @Test func sameBits() throws {
      for (config, lora) in [
        (Tiny.llama, LoRA(rank: 4, alpha: 8, dropout: 0.1)), (Tiny.llama, nil), (Tiny.mixtral, LoRA(rank: 2, alpha: 8)),
      ] {
        let plain = try train(config, lora: lora) { ($0.plan.batchSize, $0.plan.accumulation) = (8, 1) }
        #expect(plain.losses.count == 4 && plain.losses[3] < plain.losses[0] && plain.norms[0] > 0)
        #expect(same(plain, try train(config, lora: lora) { ($0.plan.batchSize, $0.plan.accumulation) = (4, 2) }))
        #expect(same(plain, try train(config, lora: lora) { ($0.plan.batchSize, $0.plan.accumulation) = (1, 8) }))
        let checkpointed = try train(config, lora: lora) {
          ($0.plan.batchSize, $0.plan.accumulation, $0.memory.checkpoint) = (8, 1, .everyBlock)
        }
        #expect(same(plain, checkpointed))
        let threads = Parallel.threads
        defer { Parallel.threads = threads }
        for count in [1, 2, 3] {
          Parallel.threads = count
          #expect(same(plain, try train(config, lora: lora) { ($0.plan.batchSize, $0.plan.accumulation) = (8, 1) }), "\(count) threads")
        }
      }
    }

    /// How many tokens go through at once changes rounding only.
    @Test func passesAgree() throws {
      let small = try train(lora: LoRA(rank: 4, alpha: 8)) { $0.memory.tokensAtOnce = 1 }
      let large = try train(lora: LoRA(rank: 4, alpha: 8)) { $0.memory.tokensAtOnce = 10_000 }
      for (a, b) in zip(small.losses, large.losses) { #expect(abs(a - b) < 1e-5) }
      for (a, b) in zip(small.norms, large.norms) { #expect(abs(a - b) < 1e-4 * a) }
    }

    /// A packed row gives the gradient of its parts: no attention and no loss across.
    @Test func packedRows() throws {
      let rows = Tiny.rows(4)
      let packed = [
        TokenRow(ids: rows.flatMap(\.ids), labels: rows.flatMap(\.labels), lengths: rows.map(\.ids.count))
      ]
      #expect(packed[0].trainedTokens == rows.reduce(0) { $0 + $1.trainedTokens })
      let apart = try train(lora: LoRA(rank: 4, alpha: 8), rows: rows, steps: 1) { ($0.plan.batchSize, $0.data.shuffle) = (4, false) }
      let together = try train(lora: LoRA(rank: 4, alpha: 8), rows: packed, steps: 1) { ($0.plan.batchSize, $0.data.shuffle) = (1, false) }
      #expect(abs(apart.losses[0] - together.losses[0]) < 1e-5)
      #expect(abs(apart.norms[0] - together.norms[0]) < 1e-4 * apart.norms[0])
    }

    @Test func epochsAndSteps() throws {
      var plan = PlanOptions()
      (plan.epochs, plan.batchSize, plan.accumulation) = (2.5, 2, 2)
      let steps = StepPlan(rows: 10, plan: plan, shuffle: true)
      #expect(steps.stepsPerEpoch == 3 && steps.totalSteps == 8 && steps.epoch(after: 3) == 1)
      let order = RowOrder(steps)
      var seen: [[Int]] = []
      for epoch in 0..<3 { seen.append((0..<3).flatMap { order.rows(step: 3 * epoch + $0) }) }
      for rows in seen { #expect(rows.sorted() == Array(0..<10)) }
      #expect(seen[0] != seen[1] && seen[1] != seen[2])
      #expect(RowOrder(steps).rows(step: 4) == Array(seen[1][4..<8]))
      #expect(RowOrder(StepPlan(rows: 10, plan: plan, shuffle: false)).rows(step: 5) == [8, 9])
    }

    /// A weight that is not finite: steps are skipped and counted, the third in a row stops with the place, weights stay.
    @Test func notFinite() throws {
      var recipe = Recipe()
      recipe.plan.steps = 10
      let model = try Tiny.model()
      let bad = try #require(model.parameters.first { $0.name == "model.layers.1.mlp.up_proj.weight" })
      bad.update { $0.floats[3] = .infinity }
      let before = Tiny.weights(model)
      let trainer = try SFTTrainer(model, on: Tiny.rows(8), recipe: recipe)
      for _ in 0..<2 {
        let step = try #require(try trainer.step())
        #expect(step.skipped && !(step.loss.isFinite && step.gradientNorm.isFinite))
      }
      let error = #expect(throws: TrainingError.self) { try trainer.step() }
      #expect(error?.description.contains("model.layers.1.mlp.up_proj.weight") == true)
      #expect(Tiny.weights(model) == before)
    }

    @Test func asynchronousSteps() async throws {
      var recipe = Recipe()
      recipe.plan.steps = 3
      let trainer = try SFTTrainer(
        try Tiny.model(), on: Tiny.rows(4), heldOut: Tiny.rows(2, seed: 3), optimizer: .adamW8bit(learningRate: 1e-3), recipe: recipe)
      let before = try #require(trainer.evaluate()).loss
      var count = 0
      for try await step in trainer.steps() {
        count += 1
        #expect(step.step == count && step.loss.isFinite)
      }
      #expect(count == 3 && trainer.totalSteps == 3)
      #expect(try #require(trainer.evaluate()).loss != before)
    }
  }
}
