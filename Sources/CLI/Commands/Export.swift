import ArgumentParser
import Swiftlet

/// `swiftlet export`: weights for other programs.
struct Export: ParsableCommand {
  enum Format: String, CaseIterable, ExpressibleByArgument { case adapter, merged }

  static let configuration = CommandConfiguration(
    abstract: "Write a run's adapter, or the model with its adapter merged in.",
    discussion: """
      Reads back what it wrote and reports the difference.

      EXAMPLES:
        swiftlet export runs/mine --format adapter --output adapter
        swiftlet export runs/mine --format merged --type bfloat16 --output merged
      """)

  @Argument(help: ArgumentHelp("A run folder, or a model with an adapter.", valueName: "source"))
  var source: String

  @Option(name: .long, help: ArgumentHelp("A PEFT adapter to put on top.", valueName: "dir"))
  var adapter: String?

  @Option(name: .long, help: "What to write.")
  var format: Format

  @Option(name: .long, help: ArgumentHelp("Precision of merged weights: float32, float16 or bfloat16. Default: as stored.", valueName: "t"))
  var type: WeightFormat?

  @Option(name: .long, help: ArgumentHelp("The folder to write.", valueName: "path"))
  var output: String

  @OptionGroup var global: GlobalOptions

  func validate() throws {
    if format == .adapter && type != nil { throw ValidationError("--type belongs to --format merged: adapters are written in float32") }
  }

  func run() throws {
    try global.begin()
    let model = try LanguageModel(ModelLocation.find(source, adapter: adapter))
    let report = try model.export(format == .adapter ? .adapter : .merged(type), to: output)
    if global.json { return Terminal.line(report.json) }
    Terminal.line("\(report.path)  \(report.tensors) tensors, \(report.changed) changed by the adapter")
    let comparison = report.comparison
    Terminal.line(
      "read back: tensors differ by \(report.largestTensorError) at most, logits by \(comparison.largest); the likeliest token is the same in "
        + "\(comparison.agreeing) of \(comparison.tokens) places")
  }
}
