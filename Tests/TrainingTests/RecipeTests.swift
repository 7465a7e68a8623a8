import SwiftletModels
import SwiftletOptimizers
import SwiftletTrainers
import Testing

@Suite struct RecipeTests {
  private func problems(_ text: String, _ settings: [String] = []) -> [RecipeProblem] {
    do {
      _ = try Recipe(text: text, name: "r.yaml", settings: settings)
      return []
    } catch let error as RecipeError {
      return error.problems
    } catch {
      Issue.record("\(error)")
      return []
    }
  }

  @Test func contractExample() throws {
    let recipe = try Recipe(
      text: """
        model:     {source: base, weights: bfloat16, contextLength: 2048}
        adapter:   {lora: {rank: 8, alpha: 16, dropout: 0.1, targets: [q_proj, v_proj]}}
        data:      {path: rows.jsonl, layout: alpaca, shuffle: true, holdOut: 0.02}
        method:    {sft: {packing: true, trainOn: responses}}
        optimizer: {adamW8bit: {learningRate: 2e-4, weightDecay: 0.01}}
        schedule:  {linear: {warmup: 10}}
        plan:      {steps: 20, batchSize: 2, accumulation: 4, seed: 3407, maxGradNorm: 1.0}
        memory:    {checkpoint: everyBlock, offload: host}
        saving:    {every: 100, keep: 2, export: [merged]}
        output:    runs/NAME
        """)
    try recipe.validate()
    #expect(recipe.adapter?.lora?.rank == 8)
    #expect(recipe.adapter?.lora?.targets == .names(["q_proj", "v_proj"]))
    #expect(recipe.optimizer.options.learningRate == 2e-4)
    #expect(recipe.schedule == .linear(warmup: 10))
    #expect(recipe.plan.steps == 20 && recipe.plan.epochs == nil)
    let again = try Recipe(text: recipe.yaml)
    #expect(again == recipe)
    #expect(again.differences(from: recipe).isEmpty)
  }

  @Test func everyDefaultSurvivesPrinting() throws {
    for choice in Schedule.choices {
      let recipe = try Recipe(text: "schedule: {\(choice): {warmup: 3}}\nadapter: {}\noutput: \"a: b #c\"")
      #expect(try Recipe(text: recipe.yaml) == recipe)
    }
  }

  @Test func settings() throws {
    let recipe = try Recipe(
      text: "plan: {epochs: 3}\nmodel: {source: a}",
      settings: [
        "plan.steps=7", "optimizer.adamW.learningRate=1e-3", "schedule.cosine.warmup=2", "model.config=c.json",
        "adapter.lora.targets=[k_proj]",
      ])
    #expect(recipe.plan.steps == 7 && recipe.plan.epochs == nil)
    #expect(recipe.optimizer.options.learningRate == 1e-3)
    #expect(recipe.schedule == .cosine(warmup: 2))
    #expect(recipe.model.source == nil && recipe.model.config == "c.json")
    #expect(recipe.adapter?.lora?.targets == .names(["k_proj"]))
  }

  /// Each wrong recipe is refused with its line, its path, and words that help.
  @Test func refusals() {
    let cases: [(text: String, place: String, path: String, words: [String])] = [
      ("plan:\n  epochs: 1\n  batchsize: 2", "r.yaml:3", "plan.batchsize", ["unknown key", "batchSize", "did you mean batchSize"]),
      ("optimiser: {}", "r.yaml:1", "optimiser", ["did you mean optimizer"]),
      ("plan: {epochs: many}", "r.yaml:1", "plan.epochs", ["a number", "\"many\""]),
      ("\n\ndata: {shuffle: 3}", "r.yaml:3", "data.shuffle", ["true or false", "3"]),
      ("method: {dpo: {beta: 0.1}}", "r.yaml:1", "method.dpo", ["not in this version yet", "sft"]),
      ("method: {sfd: {}}", "r.yaml:1", "method.sfd", ["unknown", "did you mean sft"]),
      ("schedule: {linear: {}, cosine: {}}", "r.yaml:1", "schedule", ["exactly one", "linear, cosine"]),
      ("schedule: {linear: {warmups: 1}}", "r.yaml:1", "schedule.linear.warmups", ["did you mean warmup"]),
      ("model: {weights: dynamic4bits}", "r.yaml:1", "model.weights", ["did you mean dynamic4bit"]),
      ("model: {dynamic4bit: {budget: 11}}", "r.yaml:1", "model.dynamic4bit.budget", ["a share", "11"]),
      ("memory: {checkpoint: some}", "r.yaml:1", "memory.checkpoint", ["none, everyBlock, selective"]),
      ("memory: {checkpoint: sometimes}", "r.yaml:1", "memory.checkpoint", ["none, everyBlock"]),
      ("plan: {epochs: 1, steps: 2}", "r.yaml:1", "plan", ["exclude each other"]),
      ("plan: {batchSize: 0}", "r.yaml:1", "plan.batchSize", ["at least 1"]),
      ("data: {layout: preference}", "r.yaml:1", "data.layout", ["not in this version yet"]),
      ("data: {hub: {name: a/b}}", "r.yaml:1", "data.hub", ["not in this version yet"]),
      ("saving: {export: [{gguf: q9_k}]}", "r.yaml:1", "saving.export[0]", ["gguf: one of f32, f16", "found \"q9_k\""]),
      ("saving: {keep: 0}", "r.yaml:1", "saving.keep", ["at least 1"]),
      ("plan: 3", "r.yaml:1", "plan", ["keys and values"]),
      ("adapter: {lora: {rank: 1.5}}", "r.yaml:1", "adapter.lora.rank", ["whole number", "1.5"]),
    ]
    for (text, place, path, words) in cases {
      let found = problems(text)
      #expect(found.count == 1, "\(text): \(found)")
      #expect(found.first?.place == place, "\(text): \(found)")
      #expect(found.first?.path == path, "\(text): \(found)")
      for word in words { #expect(found.first?.message.contains(word) == true, "\(text): \(found)") }
    }
  }

  @Test func everyProblemInOnePass() {
    let found = problems("plan: {a: 1}\ndata: {b: 2}", ["model.c=3", "nonsense"])
    #expect(Set(found.map(\.path)) == ["plan.a", "data.b", "model.c", ""] && found.count == 4)
    #expect(found[2].place == "--set model.c=3")
  }

  @Test func hostileText() {
    let bomb = (0..<9).reduce("a0: &a0 [x,x,x,x,x,x,x,x,x]\n") { text, i in
      text + "a\(i + 1): &a\(i + 1) [" + Array(repeating: "*a\(i)", count: 9).joined(separator: ",") + "]\n"
    }
    for text in [
      bomb, String(repeating: "[", count: 100_000), String(repeating: "- ", count: 100_000), "a: [", "\u{0}", "%YAML 9.9\n---",
      "? {a: b}\n: c", "plan: &x {epochs: 1}\ndata: {<<: *x}", "- 1",
    ] {
      #expect(throws: RecipeError.self, "\(text.prefix(30))") { try Recipe(text: text) }
    }
  }

  @Test func nothingIsTheDefaults() throws {
    #expect(try Recipe(text: "") == Recipe())
    #expect(try Recipe(text: "plan:\nschedule:") == Recipe())
    #expect(throws: RecipeError.self) { try Recipe().validate() }
  }
}
