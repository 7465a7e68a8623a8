import ArgumentParser
import Swiftlet

/// `swiftlet export`: weights for other programs.
struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a run's adapter, or the model with its adapter merged in.",
    discussion: """
      Reads back what it wrote and reports the difference. --device says where
      dynamic4bit measures; everything else is the processor's.

      EXAMPLES:
        swiftlet export runs/mine --format adapter --output adapter
        swiftlet export runs/mine --format merged --type bfloat16 --output merged
        swiftlet export runs/mine --format bnb-4bit --output four-bit
        swiftlet export runs/mine --format dynamic4bit --budget 0.1 --calibration rows.jsonl --output dynamic
        swiftlet export runs/mine --format gguf --type q4_k_m --output mine.gguf
        swiftlet export runs/mine --format adapter --type gguf --output adapter.gguf
      """)

  @Argument(help: ArgumentHelp("A run folder, or a model with an adapter.", valueName: "source"))
  var source: String

  @Option(name: .long, help: ArgumentHelp("A PEFT adapter to put on top.", valueName: "dir"))
  var adapter: String?

  @Option(name: .long, help: ArgumentHelp("What to write: \(ModelExport.Format.names.joined(separator: ", ")).", valueName: "f"))
  var format: String

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Adapter: peft (default), gguf or gguf-f16. Merged: float32, float16 or bfloat16, by default as stored. 4-bit: what stays dense, "
        + "bfloat16 or float16. GGUF and Ollama: f32, f16, bf16, q8_0, q6_k, q5_k_m, q5_k_s, q4_k_m (default), q4_k_s, q4_0, q3_k_m or q2_k.",
      valueName: "t"))
  var type: String?

  @Option(name: .long, help: ArgumentHelp("The folder (of GGUF: the file) to write.", valueName: "path"))
  var output: String

  @Option(
    name: .long,
    help: ArgumentHelp("dynamic4bit: bytes that 16 bits may add, as a share of the 4-bit model's. Default 0.1.", valueName: "share"))
  var budget: Double?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "dynamic4bit: rows to measure on ({\"text\"}, {\"messages\"} or {\"input_ids\"}), of each the first 256 tokens, 8192 in all. By default a "
        + "text of its own.",
      valueName: "rows.jsonl"))
  var calibration: String?

  @OptionGroup var global: GlobalOptions

  func validate() throws { _ = try chosen() }

  private func chosen() throws -> ModelExport.Format {
    let chosen: ModelExport.Format
    do { chosen = try ModelExport.Format(format, type: type) } catch { throw ValidationError("--format \(error)") }
    if case .dynamic4bit(let weights, let share) = chosen { return .dynamic4bit(weights, budget: budget ?? share) }
    guard budget == nil, calibration == nil else { throw ValidationError("--budget and --calibration belong to --format dynamic4bit") }
    return chosen
  }

  func run() throws {
    try global.begin()
    let (format, location) = (try chosen(), try ModelLocation.find(source, adapter: adapter))
    var device = Device.cpu
    if case .dynamic4bit = format { device = global.chosenDevice }
    // Without an adapter a GPU measures block by block; with one the model lies there whole, in float32 so that small divergences are not lost.
    let isWhole = device.isCUDA && location.adapter != nil
    let model = try isWhole ? LanguageModel(location, as: .float32, on: device) : LanguageModel(location)
    let rows = try calibration.map { try model.calibrationRows(InputRows.read($0, TextRow.init)) } ?? []
    let report = try model.export(format, to: output, calibration: rows, measuringOn: device)
    if global.json { return Terminal.line(report.json) }
    if let choice = report.choice { Terminal.line(choice.table) }
    Terminal.line(report.text)
  }
}
