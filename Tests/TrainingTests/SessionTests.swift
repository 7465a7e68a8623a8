import Foundation
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletModels
import SwiftletTracking
import SwiftletTrainers
import TestSupport
import Testing

/// Runs in folders of their own, over rows in a file.
final class Scene {
  let folder: TemporaryFolder

  init(rows: Int = 13) throws {
    folder = try TemporaryFolder()
    try Data(Tiny.llama.utf8).write(to: folder.url.appending(path: "config.json"))
    _ = try folder.rows("rows.jsonl", Tiny.rows(rows).map(Scene.json))
  }

  static func json(_ row: TokenRow) -> JSON {
    .object(
      JSONObject([("input_ids", .array(row.ids.map { .int(Int($0)) })), ("labels", .array(row.labels.map { .int(Int($0)) }))]))
  }

  func path(_ name: String) -> String { folder.url.appending(path: name).path }

  func recipe(_ output: String, _ settings: [String] = []) throws -> Recipe {
    try Recipe(
      text: """
        model: {config: "\(path("config.json"))"}
        adapter: {lora: {rank: 4, alpha: 8, dropout: 0.1}}
        data: {path: "\(path("rows.jsonl"))", layout: tokens, holdOut: 2}
        optimizer: {adamW: {learningRate: 1e-2}}
        schedule: {cosine: {warmup: 2}}
        plan: {epochs: 3, batchSize: 2, accumulation: 2, seed: 3}
        evaluation: {every: 3}
        saving: {every: 2, keep: 2}
        output: "\(path(output))"
        """, settings: settings)
  }

  /// Runs until the end, or until `stopAfter` steps were seen.
  @discardableResult
  func run(_ recipe: Recipe?, resume: String? = nil, stopAfter: Int = .max, events: ((Event) -> Void)? = nil) throws -> Outcome {
    var surroundings = TrainingSession.Surroundings()
    var steps = 0
    surroundings.isInterrupted = { steps >= stopAfter }
    surroundings.sinks = [
      ClosureSink { event in
        if case .step = event { steps += 1 }
        events?(event)
      }
    ]
    return try TrainingSession(recipe, resume: resume, surroundings).train()
  }

  /// The lines of `metrics.jsonl` without what the clock and the machine decide.
  func metrics(_ output: String) throws -> [JSON] {
    try String(contentsOfFile: path(output) + "/metrics.jsonl", encoding: .utf8).split(separator: "\n").map { line in
      var object = try #require(JSON(parsing: String(line)).object)
      object["tokens_per_second"] = nil
      object["peak_memory_bytes"] = nil
      return .object(object)
    }
  }

  func bytes(_ file: String) throws -> Data { try Data(contentsOf: URL(filePath: path(file))) }
}

extension TrainingTests {
  @Suite(.serialized) struct SessionTests {
    /// Full training of quantised weights is refused before the first step, not trapped on.
    @Test func weightsInFewBitsAreNotTrainedWhole() throws {
      let scene = try Scene()
      let error = #expect(throws: LoRAError.self) { try scene.run(scene.recipe("run", ["model.weights=nf4", "adapter=null"])) }
      #expect(error?.description.contains("model.weights") == true)
    }

    @Test func runFolder() throws {
      let scene = try Scene()
      var events: [String] = []
      let outcome = try scene.run(try scene.recipe("run")) { events.append($0.json["event"]?.string ?? "") }
      #expect(outcome == .finished)
      let lines = try scene.metrics("run")
      #expect(lines.filter { $0["loss"] != nil }.count == 9 && lines.filter { $0["eval_loss"] != nil }.count == 3)
      #expect(lines[0].object?.keys == ["step", "epoch", "loss", "learning_rate", "grad_norm", "tokens", "trained_tokens"])
      #expect(
        Fixtures.names(in: URL(filePath: scene.path("run"))) == [
          "checkpoint-8", "checkpoint-9", "final", "metrics.jsonl", "recipe.yaml", "run.json",
        ])
      #expect(
        Fixtures.names(in: URL(filePath: scene.path("run/checkpoint-9"))) == [
          "adapter_config.json", "adapter_model.safetensors", "manifest.json", "optimizer.safetensors", "trainer_state.json",
        ])
      #expect(Fixtures.names(in: URL(filePath: scene.path("run/final"))) == ["adapter_config.json", "adapter_model.safetensors"])
      #expect(events.count { $0 == "checkpoint" } == 5 && events.last == "ended")
      let record = try JSON(parsing: Data(contentsOf: URL(filePath: scene.path("run/run.json"))))
      #expect(record["outcome"]?.string == "finished" && record["steps"]?.int == 9 && record["seed"]?.int == 3)
      #expect(try Recipe(file: scene.path("run/recipe.yaml")) == scene.recipe("run"))
      #expect(throws: RunFolderError.self) { try scene.run(try scene.recipe("run")) }
    }

    /// Stopping after any step and going on gives the same lines and the same bytes as never having stopped: across evaluations, epochs, with
    /// dropout, adapters, whole models, 8-bit moments.
    @Test func resumeIsExact() throws {
      let scene = try Scene()
      for (name, settings) in [
        ("lora", []), ("full", ["adapter=null", "optimizer.adamW8bit.learningRate=1e-2", "memory.checkpoint=everyBlock"]),
        ("dora", ["adapter.lora.useDoRA=true", "adapter.lora.modulesToSave=[lm_head]", "adapter.lora.dropout=0"]),
      ] {
        let file = name == "full" ? "model.safetensors" : "adapter_model.safetensors"
        try scene.run(try scene.recipe("\(name)-whole", settings))
        let lines = try scene.metrics("\(name)-whole")
        let weights = try scene.bytes("\(name)-whole/final/\(file)")
        for stop in name == "lora" ? Array(0...9) : [1, 4, 7] {
          let output = "\(name)-\(stop)"
          let outcome = try scene.run(try scene.recipe(output, settings), stopAfter: stop)
          #expect(outcome == (stop < 9 ? .interrupted : .finished))
          #expect(try scene.run(stop % 2 == 0 ? nil : scene.recipe(output, settings), resume: scene.path(output)) == .finished)
          #expect(try scene.metrics(output) == lines, "\(name) stopped after \(stop)")
          #expect(try scene.bytes("\(output)/final/\(file)") == weights, "\(name) stopped after \(stop)")
          let moments = "checkpoint-9/optimizer.safetensors"
          #expect(try scene.bytes("\(output)/\(moments)") == scene.bytes("\(name)-whole/\(moments)"), "\(name) stopped after \(stop)")
        }
      }
    }

    /// A damaged newest checkpoint is named, set aside, and the one before gives the same end.
    @Test func fallsBack() throws {
      let scene = try Scene()
      try scene.run(try scene.recipe("whole"))
      try scene.run(try scene.recipe("run"), stopAfter: 7)
      let file = scene.path("run/checkpoint-7/optimizer.safetensors")
      var bytes = try Data(contentsOf: URL(filePath: file))
      bytes[bytes.count - 5] ^= 4
      try bytes.write(to: URL(filePath: file))
      var warnings: [String] = []
      try scene.run(nil, resume: scene.path("run")) { if case .warning(let text) = $0 { warnings.append(text) } }
      #expect(warnings.contains { $0.contains("checkpoint-7") && $0.contains("optimizer.safetensors") })
      #expect(try scene.metrics("run") == scene.metrics("whole"))
      #expect(try scene.bytes("run/final/adapter_model.safetensors") == scene.bytes("whole/final/adapter_model.safetensors"))
    }

    /// What must not change between the parts of a run is named.
    @Test func refusesOtherRecipesAndData() throws {
      let scene = try Scene()
      try scene.run(try scene.recipe("run"), stopAfter: 3)
      let other = #expect(throws: RunFolderError.self) {
        try scene.run(try scene.recipe("run", ["plan.seed=4"]), resume: scene.path("run"))
      }
      #expect(other?.description.contains("plan.seed: 4 instead of 3") == true)
      _ = try scene.folder.rows("rows.jsonl", Tiny.rows(13, seed: 10).map(Scene.json))
      let data = #expect(throws: RunFolderError.self) { try scene.run(nil, resume: scene.path("run")) }
      #expect(data?.description.contains("data differ") == true)
      #expect(throws: RunFolderError.self) { try scene.run(nil, resume: scene.path("nowhere")) }
      // What changes no bit may change.
      _ = try scene.folder.rows("rows.jsonl", Tiny.rows(13).map(Scene.json))
      #expect(
        try scene.run(try scene.recipe("run", ["saving.keep=1", "memory.checkpoint=everyBlock"]), resume: scene.path("run")) == .finished)
      #expect(RunFolder.checkpointSteps(scene.path("run")) == [9])
    }

    /// A sink that fails is named once and changes nothing.
    @Test func failingSink() throws {
      struct Full: Error {}
      let scene = try Scene()
      try scene.run(try scene.recipe("plain"))
      var surroundings = TrainingSession.Surroundings()
      var warnings = 0
      surroundings.sinks = [
        ClosureSink { _ in throw Full() },
        ClosureSink { if case .warning = $0 { warnings += 1 } },
      ]
      #expect(try TrainingSession(scene.recipe("run"), surroundings).train() == .finished)
      #expect(warnings == 1)
      #expect(try scene.metrics("run") == scene.metrics("plain"))
    }

    @Test func wrongData() throws {
      let scene = try Scene()
      _ = try scene.folder.rows("bad.jsonl", [Scene.json(TokenRow(ids: [1, 97, 3], labels: [1, 97, 3]))])
      let id = #expect(throws: TrainingError.self) {
        try scene.run(try scene.recipe("a", ["data.path=\(scene.path("bad.jsonl"))", "data.holdOut=0", "evaluation.every=0"]))
      }
      #expect(id?.description.contains("97") == true)
      _ = try scene.folder.rows("masked.jsonl", [Scene.json(TokenRow(ids: [1, 2, 3], labels: [-100, -100, -100]))])
      #expect(throws: (any Error).self) {
        try scene.run(try scene.recipe("b", ["data.path=\(scene.path("masked.jsonl"))", "data.holdOut=0", "evaluation.every=0"]))
      }
      #expect(throws: (any Error).self) { try scene.run(try scene.recipe("c", ["data.holdOut=13"])) }
    }
  }
}
