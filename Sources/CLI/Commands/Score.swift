import ArgumentParser
import Swiftlet

/// `swiftlet score`: how likely a model finds given text.
struct Score: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Say how likely a model finds each token of given text.",
    discussion: """
      Rows are {"text"}, {"messages"} or {"input_ids"}. Prints {"index","tokens","logprobs","sum","perplexity"} a row; the first token has
      no probability (null).

      EXAMPLES:
        echo '{"text":"The sky is blue."}' | swiftlet score models/qwen --input -
        swiftlet score models/llama --adapter runs/mine/final --input rows.jsonl --logits logits.safetensors
      """)

  @OptionGroup var source: ModelOptions

  @Option(name: .long, help: ArgumentHelp("Rows as JSONL; - is standard input.", valueName: "rows.jsonl"))
  var input: String

  @Option(name: .long, help: ArgumentHelp("Also write float32 logits.<index> [tokens, vocabulary] as safetensors.", valueName: "file"))
  var logits: String?

  @OptionGroup var global: GlobalOptions

  func run() throws {
    try global.begin()
    let rows = try InputRows.read(input, TextRow.init)
    let model = try source.load(global)
    let scorer = try Scorer(model, rows)
    try scorer.run(logits: logits) { Terminal.line($0) }
  }
}
