import ArgumentParser
import Swiftlet

/// The model of a command, its adapter, and the precision of its weights.
struct ModelOptions: ParsableArguments {
  @Argument(help: ArgumentHelp("A model folder, a run folder, or a repository in the Hugging Face cache.", valueName: "model"))
  var model: String

  @Option(name: .long, help: ArgumentHelp("A PEFT adapter to put on top.", valueName: "dir"))
  var adapter: String?

  @Option(name: .long, help: ArgumentHelp("Precision of the weights: float32, float16, bfloat16, fp8, int8 or nf4.", valueName: "w"))
  var weights = WeightPrecision.stored

  func load(on device: Device) throws -> LanguageModel {
    try LanguageModel(ModelLocation.find(model, adapter: adapter), as: weights, on: device)
  }
}

extension WeightFormat: ExpressibleByArgument {}
extension WeightPrecision: ExpressibleByArgument {}
