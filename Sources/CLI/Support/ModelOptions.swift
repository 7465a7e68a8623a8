import ArgumentParser
import Swiftlet

/// The model of a command, its adapter, and the precision of its weights.
struct ModelOptions: ParsableArguments {
  @Argument(help: ArgumentHelp("A model folder, a run folder, or a repository in the Hugging Face cache.", valueName: "model"))
  var model: String

  @Option(name: .long, help: ArgumentHelp("A PEFT adapter to put on top.", valueName: "dir"))
  var adapter: String?

  @Option(
    name: .long, help: ArgumentHelp("Precision of the weights: float32, float16, bfloat16, fp8, int8, nf4 or dynamic4bit.", valueName: "w"))
  var weights = WeightPrecision.stored

  func load(_ global: GlobalOptions) throws -> LanguageModel {
    let loaded = try LanguageModel(ModelLocation.find(model, adapter: adapter), as: weights, on: global.chosenDevice)
    if let choice = loaded.choice {
      global.note(choice.summary)
      for name in choice.kept.sorted() { global.note("in 16 bits: \(name)") }
    }
    return loaded
  }
}

extension WeightFormat: ExpressibleByArgument {}
extension WeightPrecision: ExpressibleByArgument {}
