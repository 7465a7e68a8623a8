import Foundation
import Swiftlet
import TestSupport
import Testing

@Suite(.serialized) struct TrainCommandTests {
  private let model: TinyModel
  init() throws { model = try TinyModel() }

  private func metrics(_ run: String) throws -> [JSON] {
    let file = model.work.url.appending(path: run + "/metrics.jsonl")
    return try String(decoding: Data(contentsOf: file), as: UTF8.self).split(separator: "\n").map { try JSON(parsing: String($0)) }
  }

  private func folder(_ run: String) -> String { model.work.url.appending(path: run).path }

  @Test func aRunCanBeUsedAsAModel() throws {
    let recipe = try model.recipe(steps: 4)
    let result = try Command.run(["train", recipe.path])
    #expect(result.code == 0, "\(result.error)")
    #expect(result.output.isEmpty)
    #expect(!result.error.contains("\u{1B}"))
    #expect(try metrics("run").compactMap { $0["step"]?.int } == [1, 2, 3, 4])
    let before = try Command.rows(["generate", model.path, "--prompt", "Hi", "--json", "--max-tokens", "1"])
    let after = try Command.rows(["generate", folder("run"), "--prompt", "Hi", "--json", "--max-tokens", "1"])
    #expect(before.count == 1 && after.count == 1)
    let table = try Command.rows(["runs", "--in", model.work.url.path, "--json"])
    #expect(table.count == 1 && table[0]["step"]?.int == 4 && table[0]["outcome"]?.string == "finished")
    #expect(try Command.rows(["runs", folder("run"), "--json"]).count == 4)
    #expect(try Command.run(["runs", folder("run")]).output.contains("loss"))
    try exports()
  }

  /// The same answers from the run, its exported adapter and its merged model.
  private func exports() throws {
    let (adapter, merged) = (folder("adapter"), folder("merged"))
    #expect(try Command.run(["export", folder("run"), "--format", "adapter", "--output", adapter]).code == 0)
    let report = try Command.rows(["export", folder("run"), "--format", "merged", "--output", merged, "--json"])
    #expect((report[0]["max_logit_difference"]?.double ?? 1) < 1e-2)
    // Compared on rows of the run.
    let record = try JSON(parsing: Data(contentsOf: model.work.url.appending(path: "run/run.json")))
    let samples = (record["samples"]?.array ?? []).map { $0.string?.split(separator: " ").count ?? 0 }
    #expect(samples.count == 4 && report[0]["tokens_compared"]?.int == samples.reduce(0, +))
    let input = try model.work.rows("score.jsonl", [try JSON(parsing: #"{"input_ids":[5,6,7,8,9]}"#)])
    let sums = try [[folder("run")], [model.path, "--adapter", adapter], [merged]].map { source in
      try Command.rows(["score"] + source + ["--input", input.path])[0]["sum"]?.double ?? 0
    }
    #expect(abs(sums[0] - sums[1]) < 1e-6)
    #expect(abs(sums[0] - sums[2]) < 1e-2)
  }

  @Test func settingsChangeTheRecipe() throws {
    let recipe = try model.recipe(steps: 4)
    let shown = try Command.run(["train", recipe.path, "--print", "--set", "plan.steps=7", "--set", "optimizer.adamW.learningRate=5e-3"])
    #expect(shown.code == 0)
    #expect(shown.output.contains("steps: 7") && shown.output.contains("0.005"))
    let unknown = try Command.run(["train", recipe.path, "--set", "plan.stepz=7"])
    #expect(unknown.code == 1)
    #expect(unknown.error.contains("stepz") && unknown.error.contains("steps"))
  }

  @Test func plansSpeakJSON() throws {
    let plan = try Command.rows(["plan", try model.recipe(steps: 4).path, "--json"])[0]
    #expect((plan["peak_bytes"]?.int ?? 0) > 0)
    #expect(plan["fits"]?.bool == true)
    #expect(plan["parts"]?["weights"]?.int != nil)
  }

  @Test func anInterruptedRunGoesOnBitForBit() throws {
    let whole = try model.recipe(steps: 3000, output: "whole", extra: "saving: {every: 1000, keep: 1}")
    #expect(try Command.run(["train", whole.path, "--quiet"]).code == 0)
    let recipe = try model.recipe(steps: 3000, output: "stopped", extra: "saving: {every: 1000, keep: 1}")
    let stopped = try Command.run(["train", recipe.path, "--quiet"]) { process in
      let file = folder("stopped") + "/metrics.jsonl"
      while process.isRunning, (FileManager.default.contents(atPath: file)?.count ?? 0) < 400 { usleep(200) }
      process.interrupt()
    }
    #expect(stopped.code == 130, "\(stopped.error)")
    let sofar = try metrics("stopped").count
    #expect(sofar > 0 && sofar < 3000)
    #expect(try Command.run(["train", recipe.path, "--resume", folder("stopped"), "--quiet"]).code == 0)
    let losses = { (rows: [JSON]) in rows.map { $0["loss"]?.double } }
    #expect(try losses(metrics("stopped")) == losses(metrics("whole")))
    let final = ["whole", "stopped"].map { FileManager.default.contents(atPath: folder($0) + "/final/adapter_model.safetensors") }
    #expect(final[0] != nil && final[0] == final[1])
  }
}
