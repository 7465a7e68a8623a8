import ArgumentParser
import Swiftlet

/// `swiftlet export`: weights for other programs.
struct Export: ParsableCommand {
  enum Format: String, CaseIterable, ExpressibleByArgument { case adapter, merged, gguf, ollama }

  static let configuration = CommandConfiguration(
    abstract: "Write a run's adapter, or the model with its adapter merged in.",
    discussion: """
      Reads back what it wrote and reports the difference.

      EXAMPLES:
        swiftlet export runs/mine --format adapter --output adapter
        swiftlet export runs/mine --format merged --type bfloat16 --output merged
        swiftlet export runs/mine --format gguf --type q4_k_m --output mine.gguf
      """)

  @Argument(help: ArgumentHelp("A run folder, or a model with an adapter.", valueName: "source"))
  var source: String

  @Option(name: .long, help: ArgumentHelp("A PEFT adapter to put on top.", valueName: "dir"))
  var adapter: String?

  @Option(name: .long, help: "What to write.")
  var format: Format

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Merged: float32, float16 or bfloat16, by default as stored. GGUF and Ollama: f32, f16, bf16, q8_0, q6_k, q5_k_m, q5_k_s, q4_k_m "
        + "(default), q4_k_s, q4_0, q3_k_m or q2_k.", valueName: "t"))
  var type: String?

  @Option(name: .long, help: ArgumentHelp("The folder (gguf: file) to write.", valueName: "path"))
  var output: String

  @OptionGroup var global: GlobalOptions

  func validate() throws { _ = try chosen() }

  private func chosen() throws -> ModelExport.Format {
    func one<Value: RawRepresentable<String> & CaseIterable>(_: Value.Type) throws -> Value? {
      guard let type else { return nil }
      if let value = Value(rawValue: type.lowercased()) { return value }
      throw ValidationError("--type \(type): one of \(Value.allCases.map(\.rawValue).joined(separator: ", ")) is wanted")
    }
    switch format {
    case .adapter:
      if type != nil { throw ValidationError("--type does not go with --format adapter: adapters are written in float32") }
      return .adapter
    case .merged: return .merged(try one(WeightFormat.self))
    case .gguf: return .gguf(try one(GGUFExportType.self) ?? .q4_k_m)
    case .ollama: return .ollama(try one(GGUFExportType.self) ?? .q4_k_m)
    }
  }

  func run() throws {
    try global.begin()
    let model = try LanguageModel(ModelLocation.find(source, adapter: adapter))
    let report = try model.export(try chosen(), to: output)
    if global.json { return Terminal.line(report.json) }
    Terminal.line("\(report.path)  \(report.tensors) tensors, \(report.changed) changed by the adapter")
    let comparison = report.comparison
    Terminal.line(
      "read back: tensors differ by \(report.largestTensorError) at most, logits by \(comparison.largest); the likeliest token is the same in "
        + "\(comparison.agreeing) of \(comparison.tokens) places")
  }
}
