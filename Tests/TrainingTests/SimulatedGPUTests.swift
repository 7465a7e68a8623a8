import Foundation
import SwiftletCUDA
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletOptimizers
import SwiftletTensorCore
import SwiftletTrainers
import TestSupport
import Testing

extension TrainingTests {
  /// What can be checked of the GPU's path where no GPU is: a simulated one runs the same code, counts memory, and computes nothing.
  @Suite(.serialized) struct SimulatedGPUTests {
    private func trainer(
      _ ordinal: Int, _ config: String, lora: LoRA?, quantized: Bool = true, dtype: DType = .bfloat16,
      length: Int = 40, _ change: (inout Recipe) -> Void = { _ in }
    ) throws -> (SFTTrainer, CUDADevice) {
      let gpu = CUDADevice.simulated(capability: (9, 0), memory: 1 << 36, ordinal: ordinal)
      var recipe = Recipe()
      (recipe.plan.steps, recipe.plan.batchSize, recipe.plan.accumulation) = (6, 4, 2)
      recipe.optimizer = .adamW8bit(learningRate: 1e-3)
      recipe.data.shuffle = false
      change(&recipe)
      var placement = Placement(.cuda(ordinal), computing: dtype, quantization: quantized && lora != nil ? .nf4 : nil)
      placement.drawsOnDevice = true
      let model = try ModelRegistry.make(
        config: ModelConfig(parsing: config), source: .random(seed: 1), placement: recipe.memory.applied(to: placement))
      if let lora { try model.add(lora) } else { try model.makeAllTrainable() }
      let rows = (0..<8).map { _ in TokenRow(ids: (0..<length).map { Int32($0 % 40) }, labels: (0..<length).map { Int32($0 % 40) })
      }
      return (try SFTTrainer(model, on: rows, recipe: recipe), gpu)
    }

    /// Every way of training runs, takes no more memory in later steps than in the first ones, and gives all of it back.
    @Test func everyWayRuns() throws {
      var dora = LoRA(rank: 8, alpha: 8)
      dora.useDoRA = true
      let adapters: [LoRA?] = [LoRA(rank: 8, alpha: 8), LoRA(rank: 4, alpha: 8, dropout: 0.1), dora, nil]
      let memories: [(inout Recipe) -> Void] = [
        { _ in }, { $0.memory.checkpoint = .everyBlock }, { ($0.memory.checkpoint, $0.memory.offload) = (.everyBlock, .host) },
        {
          ($0.memory.checkpoint, $0.memory.offload, $0.memory.embedding) = (.everyBlock, .host, .host)
          ($0.memory.head, $0.memory.tileRows) = (.nf4, 16)
          $0.optimizer = .pagedAdamW8bit(AdamWOptions(learningRate: 1e-3))
        },
      ]
      var ordinal = 5000
      for config in [Tiny.llama, Tiny.mixtral, Tiny.gptOss, Tiny.deepSeek] {
        for lora in adapters {
          for dtype in [DType.bfloat16, .float16, .float32] {
            for change in memories {
              ordinal += 1
              var (trainer, gpu): (SFTTrainer?, CUDADevice) = try trainer(ordinal, config, lora: lora, dtype: dtype) {
                change(&$0)
                // A head or table that is trained stays dense and on the GPU.
                if lora == nil { ($0.memory.head, $0.memory.embedding) = (.stored, .none) }
              }
              for _ in 0..<2 { _ = try trainer?.step() }
              let first = gpu.memory.peakBytes
              gpu.memory.resetPeak()
              for _ in 0..<2 { _ = try trainer?.step() }
              #expect(gpu.memory.peakBytes <= first, "\(dtype) \(ordinal)")
              trainer = nil
              // The workspace of products and the slots for weights stay.
              let kept = gpu.memory.liveBytes(.workspace)
              #expect(gpu.memory.liveBytes == kept && kept < 64 << 20, "\(gpu.memory.liveBytes) bytes are left, \(kept) of them workspace")
            }
          }
        }
      }
    }

    /// A budget between the peaks of all and of no replays is used, and kept; the plan says the run's number.
    @Test func spendsABudgetOnKeptBlocks() throws {
      func peak(_ ordinal: Int, _ change: (inout Recipe) -> Void) throws -> Int {
        let (trainer, gpu) = try trainer(ordinal, Tiny.llama, lora: LoRA(rank: 8, alpha: 8), change)
        let planned = try trainer.memoryPlan(on: PlannedGPU(capability: (9, 0), bytes: 1 << 36)).peakBytes
        gpu.memory.resetPeak()
        for _ in 0..<2 { _ = try trainer.step() }
        #expect(gpu.memory.peakBytes == planned)
        return planned
      }
      let all = try peak(4300) { $0.memory.checkpoint = .everyBlock }
      let none = try peak(4301) { $0.memory.checkpoint = .none }
      let third = (none - all) / 3
      var peaks: [Int] = []
      for (index, budget) in [all - third, all + third, all + 2 * third, none].enumerated() {
        peaks.append(
          try peak(4302 + index) {
            $0.memory.checkpoint = .selective
            $0.memory.budget = Double(budget + 1) / 1e9
          })
      }
      // What cannot be reached replays all: the plan then refuses the run.
      #expect(peaks[0] == all && peaks[3] == none)
      #expect(all <= peaks[1] && peaks[1] <= peaks[2] && peaks[1] <= all + third && peaks[2] <= all + 2 * third)
      #expect(peaks[2] > all, "nothing was kept for \(2 * third) bytes more")
    }

    /// Where memory comes first a long sequence has few whole activations at its peak: a block's input, the gradient, q, k and v (2 here), the gradients
    /// of the attention's output, of k and v (1), and that of q over q. Beside them the rotary tables, 1.3.
    @Test func longSequencesStandInFewActivations() throws {
      let (length, hidden) = (20_000, 256)
      let config = Tiny.llama.replacing("\"hidden_size\":32", with: "\"hidden_size\":\(hidden)")
      let (trainer, gpu) = try trainer(4150, config, lora: LoRA(rank: 8, alpha: 8), length: length) {
        $0.plan.batchSize = 1
        ($0.memory.checkpoint, $0.memory.offload, $0.memory.embedding, $0.memory.tileRows) = (.everyBlock, .host, .host, 512)
      }
      _ = try trainer.step()
      let activations = Double(gpu.memory.peakParts[.activations] ?? 0) / Double(2 * length * hidden)
      #expect(activations > 7.2 && activations < 7.5, "\(activations) activations")
    }

    /// What has no kernel, or no gradient, is refused by an error when the model is made.
    @Test func refusesWhatCannotBe() throws {
      _ = CUDADevice.simulated(capability: (9, 0), memory: 1 << 34, ordinal: 4250)
      func model(_ config: String, _ quantization: QuantizationFormat?) throws -> CausalLM {
        var placement = Placement(.cuda(4250), computing: .bfloat16, quantization: quantization)
        placement.drawsOnDevice = true
        return try ModelRegistry.make(config: ModelConfig(parsing: config), source: .random(seed: 1), placement: placement)
      }
      #expect(throws: LoRAError.self) { try model(Tiny.llama, .nf4).makeAllTrainable() }
      var dora = LoRA(rank: 4, alpha: 8, targets: .names(["q_proj", "lm_head"]))
      #expect(throws: Never.self) { try model(Tiny.llama, .nf4).add(dora) }
      dora.useDoRA = true
      #expect(throws: LoRAError.self) { try model(Tiny.llama, .nf4).add(dora) }
      let wide = Tiny.llama.replacing("\"num_key_value_heads\"", with: "\"head_dim\":1024,\"num_key_value_heads\"")
      #expect(throws: Never.self) { try ModelRegistry.shapes(config: ModelConfig(parsing: wide)) }
      #expect(throws: ConfigError.self) { try model(wide, nil) }
    }

    /// A checkpoint in 8-bit floats stays in them: the plan counts bytes, not what they would be as numbers.
    @Test func plansKnowHowFilesAreCoded() throws {
      let folder = try TemporaryFolder()
      try Data(Tiny.llama.utf8).write(to: folder.url.appending(path: "config.json"))
      let shapes = try ModelRegistry.shapes(config: ModelConfig(parsing: Tiny.llama))
      var plans: [SafetensorsPlan] = []
      for parameter in shapes.parameters {
        let isCoded = parameter.name.hasSuffix("_proj.weight")
        plans.append(SafetensorsPlan(name: parameter.name, dtype: isCoded ? .f8E4M3 : .bf16, shape: parameter.shape.dimensions))
        if isCoded { plans.append(SafetensorsPlan(name: parameter.name + "_scale", dtype: .f32, shape: [parameter.shape[0], 1])) }
      }
      let writer = try SafetensorsWriter(folder.url.appending(path: "model.safetensors").path, tensors: plans)
      for plan in plans {
        let bytes = [UInt8](repeating: 0, count: plan.dtype.byteCount(of: plan.shape) ?? 0)
        try bytes.withUnsafeBytes { try writer.append($0) }
      }
      try writer.finish()
      for (ordinal, weights) in [(4200, WeightPrecision.stored), (4201, .bfloat16), (4202, .nf4)] {
        var recipe = Recipe()
        (recipe.model.source, recipe.model.contextLength, recipe.model.weights) = (folder.url.path, 32, weights)
        recipe.adapter = AdapterOptions()
        let gpu = CUDADevice.simulated(capability: (9, 0), memory: 1 << 36, ordinal: ordinal)
        let model = try ModelLoader.load(folder.url.path, as: weights, on: .cuda(ordinal))
        let plan = try MemoryPlan(recipe, on: PlannedGPU(capability: (9, 0), bytes: 1 << 36))
        let found = gpu.memory.liveBytes(.weights)
        #expect(plan.weights == found && model.layerCount == 3, "\(weights): \(plan.weights) planned, \(found) found")
      }
    }

    /// Where memory runs out, fewer tokens go through at a time, and the step is done.
    @Test func outOfMemory() throws {
      let (large, gpu) = try trainer(4100, Tiny.llama, lora: LoRA(rank: 8, alpha: 8)) { $0.memory.tokensAtOnce = 320 }
      _ = try large.step()
      let whole = gpu.memory.peakBytes
      let (small, other) = try trainer(4101, Tiny.llama, lora: LoRA(rank: 8, alpha: 8)) { $0.memory.tokensAtOnce = 80 }
      _ = try small.step()
      let quarter = other.memory.peakBytes
      #expect(quarter < whole)
      let (tight, limited) = try trainer(4102, Tiny.llama, lora: LoRA(rank: 8, alpha: 8)) { $0.memory.tokensAtOnce = 320 }
      limited.memory.cap = (whole + quarter) / 2
      let step = try tight.step()
      #expect(step?.step == 1 && step?.tokens == 320 && limited.memory.peakBytes <= (whole + quarter) / 2)
      limited.memory.cap = quarter / 2
      #expect(throws: TrainingError.self) { while try tight.step() != nil {} }
    }
  }
}
