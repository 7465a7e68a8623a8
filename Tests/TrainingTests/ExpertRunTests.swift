import Foundation
import SwiftletCUDA
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletOptimizers
import SwiftletTensorCore
import SwiftletTrainers
import TestSupport
import Testing

extension TrainingTests {
  /// Training of adapters on gpt-oss's stacked experts.
  @Suite(.serialized) struct ExpertRunTests {
    private static let settings = [
      "adapter.lora.dropout=0", "adapter.lora.targetParameters=[mlp.experts.gate_up_proj, mlp.experts.down_proj]",
    ]

    /// The loss falls, and a run that was interrupted has the bits of one that was not.
    @Test func resumes() throws {
      let scene = try Scene()
      try Data(Tiny.gptOss.utf8).write(to: URL(filePath: scene.path("config.json")))
      try scene.run(scene.recipe("whole", Self.settings))
      let losses = try scene.metrics("whole").compactMap { $0["loss"]?.double }
      #expect(losses.count > 4 && losses[losses.count - 1] < losses[0])
      try scene.run(scene.recipe("parts", Self.settings), stopAfter: 3)
      try scene.run(nil, resume: scene.path("parts"))
      #expect(try scene.bytes("parts/final/adapter_model.safetensors") == scene.bytes("whole/final/adapter_model.safetensors"))
      #expect(try scene.metrics("parts") == scene.metrics("whole"))
    }

    /// The same code on a GPU: the plan says the run's number.
    @Test func runsOnAGPU() throws {
      var ordinal = 6200
      for checkpoint in [CheckpointOption.none, .everyBlock] {
        for format in [QuantizationFormat?.none, .nf4, .fp4] {
          ordinal += 1
          let gpu = CUDADevice.simulated(capability: (9, 0), memory: 1 << 36, ordinal: ordinal)
          var recipe = Recipe()
          (recipe.plan.steps, recipe.plan.batchSize, recipe.plan.accumulation) = (2, 4, 2)
          recipe.optimizer = .adamW8bit(learningRate: 1e-3)
          recipe.data.shuffle = false
          recipe.memory.checkpoint = checkpoint
          var placement = Placement(.cuda(ordinal), quantization: format)
          placement.drawsOnDevice = true
          let model = try ModelRegistry.make(
            config: ModelConfig(parsing: Tiny.gptOss), source: .random(seed: 1), placement: placement)
          var lora = LoRA(rank: 8, alpha: 8)
          lora.targetParameters = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
          try model.add(lora)
          let rows = (0..<8).map { _ in TokenRow(ids: Array(0..<40), labels: Array(0..<40)) }
          let trainer = try SFTTrainer(model, on: rows, recipe: recipe)
          let planned = try trainer.memoryPlan(on: PlannedGPU(capability: (9, 0), bytes: 1 << 36)).peakBytes
          for _ in 0..<2 { _ = try trainer.step() }
          #expect(gpu.memory.peakBytes == planned, "\(checkpoint) \(String(describing: format))")
        }
      }
    }
  }
}
