import SwiftletOptimizers

extension Recipe {
  /// Checks what only the whole recipe can show.
  /// - Throws: `RecipeError` with every problem found.
  public func validate() throws {
    let problems = RecipeProblems()
    func problem(_ path: String, _ message: String) { problems.add(nil, path, message) }
    if model.source == nil && model.config == nil {
      problem("model", "wants source (a model folder) or config (a config.json, to start from random weights)")
    }
    if let length = model.contextLength, length < 2 { problem("model.contextLength", "wants at least 2 tokens, found \(length)") }
    if data.path == nil { problem("data.path", "wants a file or folder with rows") }
    if output == nil { problem("output", "wants a folder for the run, such as runs/first") }
    if plan.epochs == nil && plan.steps == nil { problem("plan", "wants epochs or steps") }
    if !(0...1 << 30).contains(memory.tileRows) {
      problem("memory.tileRows", "wants 1 to \(1 << 30), or 0 for all, found \(memory.tileRows)")
    }
    if !(memory.budget >= 0 && memory.budget < 1e6) {
      problem("memory.budget", "wants gigabytes, or 0 for what the GPU has free, found \(memory.budget)")
    }
    if model.weights == .dynamic4bit {
      if model.source == nil { problem("model.weights", "dynamic4bit measures weights of a source, random ones have none: take nf4") }
      if adapter == nil {
        problem("model.weights", "dynamic4bit weights are quantised and cannot be trained: put an adapter on (adapter: {lora: …})")
      }
    }
    if memory.head.format != nil || memory.head == .dynamic4bit {
      problem("memory.head", "wants stored, int8, fp8 or nf4, found \(memory.head.rawValue)")
    }
    if saving.weights.quantization != nil {
      problem("saving.weights", "wants stored, float32, float16 or bfloat16, found \(saving.weights.rawValue)")
    }
    if memory.tokensAtOnce < 0 { problem("memory.tokensAtOnce", "wants at least 1, or 0 to choose, found \(memory.tokensAtOnce)") }
    if evaluation.every < 0 { problem("evaluation.every", "wants 0 (at the end only) or more, found \(evaluation.every)") }
    if evaluation.every > 0, data.evaluation == nil, data.holdOut == 0 {
      problem("evaluation.every", "there is nothing to evaluate: give data.holdOut or data.evaluation")
    }
    check(optimizer.options, "optimizer.\(optimizer.choice)", problem)
    try problems.throwIfAny()
  }

  private func check(_ options: AdamWOptions, _ path: String, _ problem: (String, String) -> Void) {
    let beta: (Double) -> Bool = { $0 >= 0 && $0 < 1 }
    if options.learningRate < 0 { problem("\(path).learningRate", "wants 0 or more, found \(options.learningRate)") }
    if options.weightDecay < 0 { problem("\(path).weightDecay", "wants 0 or more, found \(options.weightDecay)") }
    if !beta(options.beta1) { problem("\(path).beta1", "wants 0 to below 1, found \(options.beta1)") }
    if !beta(options.beta2) { problem("\(path).beta2", "wants 0 to below 1, found \(options.beta2)") }
    if options.epsilon <= 0 { problem("\(path).epsilon", "wants more than 0, found \(options.epsilon)") }
  }
}
