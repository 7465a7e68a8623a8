import SwiftletCUDA
import SwiftletCheckpoints
import SwiftletExport
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore
import SwiftletTrainers
import TestSupport
import Testing

extension TrainingTests {
  /// Models of GGUF files on a simulated GPU: their matrices stay in blocks there, and plans count these.
  @Suite(.serialized) struct SimulatedGGUFTests {
    private let gpu = PlannedGPU(capability: (9, 0), bytes: 1 << 36)

    /// A small model in a file of `type`.
    private func file(_ type: GGUFExportType, isTied: Bool = false) throws -> (folder: TemporaryFolder, path: String) {
      let config = """
        {"model_type":"llama","vocab_size":96,"hidden_size":256,"intermediate_size":512,"num_hidden_layers":2,"num_attention_heads":4,
        "num_key_value_heads":2,"rms_norm_eps":1e-5,"max_position_embeddings":128,"tie_word_embeddings":\(isTied)}
        """
      let folder = try TemporaryFolder()
      let (base, path) = (folder.url.appending(path: "m").path, folder.url.appending(path: "m.gguf").path)
      try ModelFile.save(try ModelRegistry.make(config: ModelConfig(parsing: config), source: .random(seed: 1)), to: base)
      try ModelExport(try ModelLoader.load(base), base: base, text: nil).write(.gguf(type), to: path)
      return (folder, path)
    }

    private func recipe(_ path: String, _ change: (inout Recipe) -> Void = { _ in }) -> Recipe {
      var recipe = Recipe()
      (recipe.model.source, recipe.model.contextLength) = (path, 40)
      (recipe.plan.steps, recipe.plan.batchSize, recipe.plan.accumulation) = (3, 2, 2)
      recipe.optimizer = .adamW8bit(learningRate: 1e-3)
      recipe.adapter = AdapterOptions()
      recipe.data.shuffle = false
      change(&recipe)
      return recipe
    }

    @Test func weightsStayInBlocks() throws {
      var ordinal = 6000
      for type in [GGUFExportType.q4_k_m, .q8_0, .q2_k, .q3_k_m, .q5_k_m] {
        for isTied in [false, true] {
          let (folder, path) = try file(type, isTied: isTied)
          ordinal += 1
          let device = CUDADevice.simulated(capability: (9, 0), memory: 1 << 36, ordinal: ordinal)
          let model = try ModelLoader.load(path, on: .cuda(ordinal))
          for parameter in model.parameters where parameter.shape.rank > 1 {
            #expect(parameter.quantized?.format.isBlocks == true, "\(type) \(parameter.name)")
          }
          let bytes = model.parameters.reduce(0) { $0 + ($1.byteCount ?? 0) }
          let count = model.parameters.reduce(0) { $0 + $1.shape.count }
          #expect(device.memory.liveBytes(.weights) == bytes && bytes < count * 10 / 8, "\(type): \(bytes) bytes of \(count) numbers")
          #expect(model.placement.computeType == .bfloat16)
          let plan = try MemoryPlan(recipe(path), on: gpu)
          #expect(plan.weights == bytes, "\(type): \(plan.weights) planned, \(bytes) found")
          withExtendedLifetime(folder) {}
        }
      }
    }

    /// A file may say of a matrix that it is in blocks which do not divide its rows: loading refuses it, a plan takes numbers for it.
    @Test func blocksThatDoNotFit() throws {
      _ = CUDADevice.simulated(capability: (9, 0), memory: 1 << 36, ordinal: 6200)
      let names = try ModelRegistry.shapes(config: ModelConfig(parsing: Tiny.llama)).parameters.map(\.name)
      for type in [UInt32(8), 12, 99] {
        var placement = Placement(.cuda(6200), computing: .bfloat16)
        placement.drawsOnDevice = true
        placement.codedFormats = Dictionary(uniqueKeysWithValues: names.map { ($0, .blocks(type)) })
        let model = try ModelRegistry.make(config: ModelConfig(parsing: Tiny.llama), source: .random(seed: 1), placement: placement)
        // Rows of 32 numbers, and of 48.
        let coded = model.parameters.filter { $0.quantized != nil }
        #expect(coded.count == (type == 8 ? 20 : 0) && coded.allSatisfy { $0.shape[1] == 32 }, "type \(type): \(coded.count)")
      }
    }

    /// The peak of the plan is the peak of loading and training.
    @Test func plansAreWhatRunsTake() throws {
      let changes: [(inout Recipe) -> Void] = [
        { _ in }, { $0.memory.checkpoint = .everyBlock }, { $0.adapter?.lora?.dropout = 0.1 }, { $0.adapter?.lora?.useDoRA = true },
        { ($0.memory.embedding, $0.memory.head) = (.host, .nf4) }, { $0.model.weights = .nf4 }, { $0.model.weights = .bfloat16 },
        { $0.adapter?.lora?.targets = .names(["embed_tokens", "q_proj"]) }, { $0.adapter = nil },
      ]
      var ordinal = 6100
      for isTied in [false, true] {
        let (folder, path) = try file(.q4_k_m, isTied: isTied)
        for (index, change) in changes.enumerated() {
          let recipe = recipe(path, change)
          let plan = try MemoryPlan(recipe, on: gpu)
          ordinal += 1
          let device = CUDADevice.simulated(capability: (9, 0), memory: 1 << 36, ordinal: ordinal)
          // What is trained itself starts at the numbers.
          let weights = recipe.adapter == nil ? .float32 : recipe.model.weights
          let model = try ModelLoader.load(path, as: weights, on: .cuda(ordinal), placing: recipe.memory.applied)
          if let lora = recipe.adapter?.lora { try model.add(lora) } else { try model.makeAllTrainable() }
          let ids = [Int32](repeating: 0, count: 40)
          let trainer = try SFTTrainer(model, on: Array(repeating: TokenRow(ids: ids, labels: ids), count: 4), recipe: recipe)
          for _ in 0..<2 { _ = try trainer.step() }
          #expect(plan.peakBytes == device.memory.peakBytes, "change \(index), tied \(isTied)")
          #expect(
            try trainer.memoryPlan(on: gpu).peakBytes == plan.peakBytes, "change \(index), tied \(isTied): a plan of the model at hand")
        }
        withExtendedLifetime(folder) {}
      }
    }
  }
}
