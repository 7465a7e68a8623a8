import SwiftletCheckpoints
import SwiftletFormats
import SwiftletOptimizers

// One line a key. A `later` line refuses what the contract knows and this version cannot do.

private let notYet = "not in this version yet"

extension WeightPrecision: RecipeWord {
  package static var recipeDefault: WeightPrecision { .stored }
}
extension DataLayoutOption: RecipeWord {
  package static var recipeDefault: DataLayoutOption { .chat }
  package static var later: [String] { ["preference", "prompts"] }
}
extension TrainOnOption: RecipeWord { package static var recipeDefault: TrainOnOption { .responses } }
extension CheckpointOption: RecipeWord { package static var recipeDefault: CheckpointOption { .none } }
extension OffloadOption: RecipeWord { package static var recipeDefault: OffloadOption { .none } }
extension AttentionOption: RecipeWord { package static var recipeDefault: AttentionOption { .own } }
extension RampShape: RecipeWord { package static var recipeDefault: RampShape { .linear } }

extension ModelOptions: RecipeSection {
  package mutating func fields(_ visit: inout FieldVisitor) {
    visit.field("source", &source)
    visit.field("config", &config)
    visit.field("tokenizer", &tokenizer)
    visit.field("weights", &weights)
    visit.field("dynamic4bit", &dynamic4bit)
    visit.field("contextLength", &contextLength)
  }
  package mutating func settle(given: [String], _ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    exclusive("source", "config", given, node, path, problems) {
      $0.source = nil
    } second: {
      $0.config = nil
    }
  }
}

extension DynamicFourBitOptions: RecipeSection {
  package mutating func fields(_ visit: inout FieldVisitor) {
    visit.field("budget", &budget)
    visit.field("calibration", &calibration)
  }
  package mutating func settle(given: [String], _ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    if !(0...10).contains(budget) {
      problems.add(node, join(path, "budget"), "wants a share of the 4-bit model's bytes, such as 0.1, found \(budget)")
    }
  }
}

extension AdapterOptions: RecipeSection, RecipeDefault {
  package mutating func fields(_ visit: inout FieldVisitor) {
    visit.field("lora", &lora)
    visit.field("start", &start)
  }
  package mutating func settle(given: [String], _ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    exclusive("lora", "start", given, node, path, problems) {
      $0.lora = nil
    } second: {
      $0.start = nil
    }
  }
}

extension DataOptions: RecipeSection {
  package mutating func fields(_ visit: inout FieldVisitor) {
    visit.field("path", &path)
    visit.field("layout", &layout)
    visit.field("shuffle", &shuffle)
    visit.field("holdOut", &holdOut)
    visit.field("evaluation", &evaluation)
    visit.later("hub", "\(notYet): download the files and give their path")
  }
  package mutating func settle(given: [String], _ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    if holdOut < 0 { problems.add(node, join(path, "holdOut"), "wants a share from 0 to 1 or a number of rows, found \(holdOut)") }
    exclusive("holdOut", "evaluation", given, node, path, problems) {
      $0.holdOut = 0
    } second: {
      $0.evaluation = nil
    }
  }
}

extension SFTOptions: RecipeSection {
  package mutating func fields(_ visit: inout FieldVisitor) {
    visit.field("packing", &packing)
    visit.field("trainOn", &trainOn)
  }
}

extension MethodOption: RecipeChoice {
  package static var choices: [String] { ["sft"] }
  package static var later: [String] { ["dpo", "orpo", "kto", "simpo", "grpo", "rloo", "ppo", "onlineDPO", "reward"] }
  package init?(choice name: String) {
    guard name == "sft" else { return nil }
    self = .sft(SFTOptions())
  }
  package var choice: String { "sft" }
  package mutating func fields(_ visit: inout FieldVisitor) {
    switch self {
    case .sft(var options):
      options.fields(&visit)
      self = .sft(options)
    }
  }
}

extension AdamWOptions: RecipeSection {
  package mutating func fields(_ visit: inout FieldVisitor) {
    visit.field("learningRate", &learningRate)
    visit.field("weightDecay", &weightDecay)
    visit.field("beta1", &beta1)
    visit.field("beta2", &beta2)
    visit.field("epsilon", &epsilon)
    visit.field("decayNormsAndBiases", &decayNormsAndBiases)
  }
}

extension OptimizerChoice: RecipeChoice {
  package static var choices: [String] { ["adamW", "adamW8bit", "pagedAdamW8bit"] }
  package init?(choice name: String) {
    switch name {
    case "adamW": self = .adamW(AdamWOptions())
    case "adamW8bit": self = .adamW8bit(AdamWOptions())
    case "pagedAdamW8bit": self = .pagedAdamW8bit(AdamWOptions())
    default: return nil
    }
  }
  package var choice: String {
    switch self {
    case .adamW: "adamW"
    case .adamW8bit: "adamW8bit"
    case .pagedAdamW8bit: "pagedAdamW8bit"
    }
  }
  package mutating func fields(_ visit: inout FieldVisitor) { options.fields(&visit) }
}

extension PlanOptions: RecipeSection {
  package mutating func fields(_ visit: inout FieldVisitor) {
    visit.field("epochs", &epochs)
    visit.field("steps", &steps)
    visit.field("batchSize", &batchSize)
    visit.field("accumulation", &accumulation)
    visit.field("seed", &seed)
    visit.field("maxGradNorm", &maxGradNorm)
    visit.field("attention", &attention)
  }
  package mutating func settle(given: [String], _ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    exclusive("epochs", "steps", given, node, path, problems) {
      $0.epochs = nil
    } second: {
      $0.steps = nil
    }
    for (name, value) in [("batchSize", batchSize), ("accumulation", accumulation), ("steps", steps ?? 1)]
    where value < 1 || value > 1 << 40 {
      problems.add(node, join(path, name), "wants at least 1, found \(value)")
    }
    let (window, overflow) = batchSize.multipliedReportingOverflow(by: accumulation)
    if overflow || window > 1 << 24 {
      problems.add(
        node, join(path, "batchSize"), "times accumulation wants at most \(1 << 24) rows a step, found \(batchSize) × \(accumulation)")
    }
    if let epochs, epochs <= 0 || epochs > 1e9 { problems.add(node, join(path, "epochs"), "wants more than 0, found \(epochs)") }
    if seed < 0 { problems.add(node, join(path, "seed"), "wants 0 or more, found \(seed)") }
    if maxGradNorm < 0 { problems.add(node, join(path, "maxGradNorm"), "wants 0 (no limit) or more, found \(maxGradNorm)") }
  }
}

extension MemoryOptions: RecipeSection {
  package mutating func fields(_ visit: inout FieldVisitor) {
    visit.field("checkpoint", &checkpoint)
    visit.field("budget", &budget)
    visit.field("offload", &offload)
    visit.field("embedding", &embedding)
    visit.field("head", &head)
    visit.field("tileRows", &tileRows)
    visit.field("tokensAtOnce", &tokensAtOnce)
  }
}

extension EvaluationOptions: RecipeSection {
  package mutating func fields(_ visit: inout FieldVisitor) { visit.field("every", &every) }
}

extension SavingOptions: RecipeSection {
  package mutating func fields(_ visit: inout FieldVisitor) {
    visit.field("every", &every)
    visit.field("keep", &keep)
    visit.field("weights", &weights)
    visit.field("export", &export)
  }
  package mutating func settle(given: [String], _ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    if every < 0 { problems.add(node, join(path, "every"), "wants 0 (never) or more, found \(every)") }
    if keep < 1 { problems.add(node, join(path, "keep"), "wants at least 1, found \(keep)") }
  }
}

extension RecipeSection {
  /// Two keys of which one at most may be said: saying one clears the other.
  fileprivate mutating func exclusive(
    _ first: String, _ second: String, _ given: [String], _ node: RecipeNode, _ path: String, _ problems: RecipeProblems,
    first clearFirst: (inout Self) -> Void, second clearSecond: (inout Self) -> Void
  ) {
    switch (given.contains(first), given.contains(second)) {
    case (true, true): problems.add(node, path, "\(first) and \(second) exclude each other: give one of them")
    case (true, false): clearSecond(&self)
    case (false, true): clearFirst(&self)
    case (false, false): break
    }
  }
}
