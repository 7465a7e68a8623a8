import ArgumentParser
import Swiftlet

/// `swiftlet generate`: answers to prompts.
struct Generate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Let a model write.",
    discussion: """
      A prompt goes through the model's chat template where it has one; --raw leaves it as it is. Rows of --input are {"prompt"},
      {"messages"} or {"input_ids"}; --json prints {"index","text","tokens","finish_reason"} a row.

      EXAMPLES:
        swiftlet generate models/qwen --prompt "Name three rivers." --max-tokens 100
        swiftlet generate runs/mine --input rows.jsonl --temperature 0.8 --top-p 0.95 --seed 7 --json
      """)

  @OptionGroup var source: ModelOptions

  @Option(name: .long, help: ArgumentHelp("The prompt.", valueName: "text"))
  var prompt: String?

  @Option(name: .long, help: ArgumentHelp("Rows as JSONL; - is standard input.", valueName: "rows.jsonl"))
  var input: String?

  @OptionGroup var sampling: SamplingFlags

  @Flag(name: .long, help: "Put no chat template around prompts.")
  var raw = false

  @OptionGroup var global: GlobalOptions

  func validate() throws {
    if (prompt == nil) == (input == nil) { throw ValidationError("either --prompt TEXT or --input FILE is wanted") }
  }

  func run() throws {
    try global.begin()
    let rows = try input.map { try InputRows.read($0, TextRow.init) } ?? [TextRow(prompt: prompt ?? "")]
    let model = try source.load(global)
    let generator = try Generator(model, rows, options: sampling.options, raw: raw)
    if global.json {
      try generator.run { _ in
      } finished: {
        Terminal.line($0.json)
      }
    } else if rows.count == 1 {
      try generator.run {
        Terminal.write($0)
      } finished: { _ in
        Terminal.write("\n")
      }
    } else {
      try generator.run { _ in
      } finished: {
        Terminal.line("[\($0.index)] \($0.text ?? $0.tokens.map(String.init).joined(separator: " "))")
      }
    }
  }
}
