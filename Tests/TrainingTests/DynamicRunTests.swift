import Foundation
import SwiftletCUDA
import SwiftletCheckpoints
import SwiftletExport
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore
import SwiftletTracking
import SwiftletTrainers
import TestSupport
import Testing

extension TrainingTests {
  /// Runs with `weights: dynamic4bit`.
  @Suite(.serialized) struct DynamicRunTests {
    private static let rows = #"{"input_ids":[3,14,15,92,65,35,89,79,32,38,46,26,43]}"#

    /// A scene whose model lies in a folder, and settings to train on it with a few layers in 16 bits.
    private func scene() throws -> (Scene, [String]) {
      let scene = try Scene()
      // Large enough that 4 bits, with what describes them, are fewer bytes than 16.
      let wide = Tiny.llama.replacing("\"hidden_size\":32,\"intermediate_size\":48", with: "\"hidden_size\":64,\"intermediate_size\":176")
      let config = try ModelConfig(parsing: wide)
      try ModelFile.save(
        ModelRegistry.make(config: config, source: .random(seed: 1)), to: scene.path("model"), .init(format: .bfloat16))
      try Data(DynamicRunTests.rows.utf8).write(to: URL(filePath: scene.path("calibration.jsonl")))
      return (
        scene,
        [
          "model.source=\(scene.path("model"))", "model.weights=dynamic4bit", "model.dynamic4bit.budget=0.5",
          "model.dynamic4bit.calibration=\(scene.path("calibration.jsonl"))",
        ]
      )
    }

    private func notes(_ scene: Scene, _ recipe: Recipe?, resume: String? = nil, stopAfter: Int = .max) throws -> [String] {
      var notes: [String] = []
      try scene.run(recipe, resume: resume, stopAfter: stopAfter) { if case .note("weights", let text) = $0 { notes.append(text) } }
      return notes
    }

    /// A run that goes on takes the choice that it began with and has the bits of one that never stopped; what is merged is the original weights.
    @Test func resumesAndExports() throws {
      let (scene, settings) = try scene()
      let whole = try notes(scene, try scene.recipe("whole", settings + ["saving.export=[{merged: float32}, adapter, dynamic4bit]"]))
      #expect(whole.first?.contains("stay in 16 bits") == true && whole.last?.hasPrefix("in 16 bits: model.layers.") == true, "\(whole)")
      for stop in [0, 1, 3] {
        _ = try notes(scene, scene.recipe("parts-\(stop)", settings), stopAfter: stop)
        // The rows are gone: nothing is measured again.
        try FileManager.default.moveItem(atPath: scene.path("calibration.jsonl"), toPath: scene.path("gone"))
        let resumed = try notes(scene, nil, resume: scene.path("parts-\(stop)"))
        try FileManager.default.moveItem(atPath: scene.path("gone"), toPath: scene.path("calibration.jsonl"))
        #expect(resumed.count == 1 && resumed[0].contains("dynamic4bit.json"), "\(resumed)")
        for file in ["final/adapter_model.safetensors", "final/dynamic4bit.json"] {
          #expect(try scene.bytes("parts-\(stop)/\(file)") == scene.bytes("whole/\(file)"), "\(stop) \(file)")
        }
        #expect(try scene.metrics("parts-\(stop)") == scene.metrics("whole"))
      }
      let base = try ModelLoader.load(scene.path("model"), as: .float32, adapter: scene.path("whole") + "/final")
      try ModelExport(base, base: scene.path("model"), text: nil).write(.merged(.float32), to: scene.path("again"))
      #expect(try scene.bytes("again/model.safetensors") == scene.bytes("whole/export/merged-float32/model.safetensors"))
      let record = try JSON(parsing: Data(contentsOf: URL(filePath: scene.path("whole/run.json"))))
      let adapter = record["exports"]?.array?.first { $0["format"]?.string == "adapter" }
      #expect(adapter?["max_logit_difference"]?.double == 0, "\(record)")
      let scheme = try #require(try FourBitChoice.scheme(recordedIn: scene.path("whole/final")))
      #expect(!scheme.kept.isEmpty && scheme.kept.count < 21 && scheme.inputSquares.count == 21, "\(scheme.kept)")
      #expect(try ModelLoader.load(scene.path("whole/export/dynamic4bit")).parameters.contains { $0.quantized != nil })
    }

    @Test func whatCannotBeMeasured() throws {
      let (scene, settings) = try scene()
      let cases = [
        ("random weights have none: take nf4", ["model.weights=dynamic4bit"]), ("adapter: {lora", settings + ["adapter=null"]),
        ("memory.head", settings + ["memory.head=dynamic4bit"]), ("saving.weights", settings + ["saving.weights=dynamic4bit"]),
      ]
      for (index, (words, settings)) in cases.enumerated() {
        let error = #expect(throws: (any Error).self) { try scene.run(try scene.recipe("run-\(index)", settings)) }
        #expect("\(error.map { "\($0)" } ?? "")".contains(index == 0 ? "random ones have none: take nf4" : words), "\(words)")
      }
      #expect(throws: RecipeError.self) { try scene.recipe("run", settings + ["model.dynamic4bit.budget=-1"]) }
      // A table that was damaged is no reason to train on something else.
      _ = try notes(scene, scene.recipe("damaged", settings), stopAfter: 0)
      try Data("{".utf8).write(to: URL(filePath: scene.path("damaged/dynamic4bit.json")))
      #expect(throws: CheckpointError.self) { try notes(scene, nil, resume: scene.path("damaged")) }
    }

    /// A plan before the run knows the most that the budget allows, says so, and no choice takes more; with the choice it knows the run's number.
    @Test func plansAnUpperBound() throws {
      let (scene, settings) = try scene()
      var ordinal = 6000
      for budget in [0, 0.1, 0.5, 10] {
        for change in [["adapter.lora.dropout=0"], [], ["memory.checkpoint=everyBlock", "adapter.lora.rank=8"]] {
          ordinal += 1
          var recipe = try scene.recipe("run", settings + change + ["model.dynamic4bit.budget=\(budget)", "data.holdOut=0"])
          (recipe.data.path, recipe.model.contextLength) = (nil, 40)
          let planned = PlannedGPU(capability: (9, 0), bytes: 1 << 36)
          let plan = try MemoryPlan(recipe, on: planned)
          #expect(plan.notes.count == 1 && plan.description.contains("note: weights are the most"))
          let choice = try FourBitChoice(measuring: scene.path("model"), calibration: [[3, 14, 15, 92]], budget: budget)
          #expect((choice.kept.count == 21) == (budget == 10) && choice.kept.isEmpty == (budget == 0), "\(budget): \(choice.kept)")
          let gpu = CUDADevice.simulated(capability: (9, 0), memory: 1 << 36, ordinal: ordinal)
          let model = try ModelLoader.load(
            scene.path("model"), as: .dynamic4bit, on: .cuda(ordinal), placing: { $0.coding(by: choice.scheme) })
          if let lora = recipe.adapter?.lora { try model.add(lora) }
          let ids = [Int32](repeating: 0, count: 40)
          let rows = (0..<4).map { _ in TokenRow(ids: ids, labels: ids) }
          recipe.plan = PlanOptions()
          (recipe.plan.epochs, recipe.plan.steps, recipe.plan.batchSize, recipe.plan.accumulation) = (nil, 2, 2, 2)
          let trainer = try SFTTrainer(model, on: rows, recipe: recipe)
          let exact = try trainer.memoryPlan(on: planned).peakBytes
          for _ in 0..<2 { _ = try trainer.step() }
          #expect(gpu.memory.peakBytes <= plan.peakBytes, "budget \(budget) \(change)")
          #expect(gpu.memory.peakBytes == exact, "budget \(budget) \(change)")
        }
      }
      // On the processor, too.
      let recipe = try scene.recipe("run", settings)
      var plain = recipe
      plain.model.weights = .nf4
      let (bound, nf4) = (try MemoryPlan(recipe), try MemoryPlan(plain))
      #expect(bound.weights > nf4.weights && nf4.notes.isEmpty && bound.json["notes"]?.array?.count == 1)
      let model = try ModelLoader.load(scene.path("model"), as: .nf4)
      #expect(model.parameters.reduce(0) { $0 + ($1.byteCount ?? 0) } == nf4.weights)
    }

    /// On a GPU the measuring leaves nothing behind in its memory.
    @Test func measuringLeavesNoTrace() throws {
      let (scene, _) = try scene()
      let gpu = CUDADevice.simulated(capability: (9, 0), memory: 1 << 36, ordinal: 6100)
      let choice = try FourBitChoice(measuring: scene.path("model"), on: .cuda(6100), calibration: [[3, 14, 15]])
      #expect(choice.tokens == 3 && gpu.dequantizationSlots == 2)
      #expect(gpu.memory.liveBytes(.weights) == 0 && gpu.memory.peakBytes == gpu.memory.liveBytes)
    }
  }
}
