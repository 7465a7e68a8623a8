import ArgumentParser
import Swiftlet

/// `swiftlet tokenize`: text to ids and back.
struct Tokenize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Turn text into token ids, or ids into text.",
    discussion: """
      Rows are {"text"} (with "pair" for two sequences) or, with --decode, {"ids"}. Prints {"index","ids"} or {"index","text"} a row.

      EXAMPLES:
        echo '{"text":"Hello world"}' | swiftlet tokenize models/qwen --input -
        swiftlet tokenize models/qwen --decode --input ids.jsonl
      """)

  @Argument(help: ArgumentHelp("A folder with tokenizer files, or a model.", valueName: "model"))
  var model: String

  @Option(name: .long, help: ArgumentHelp("Rows as JSONL; - is standard input.", valueName: "rows.jsonl"))
  var input: String

  @Flag(name: .long, help: "Add no special tokens; with --decode, leave them out of the text.")
  var noSpecial = false

  @Flag(name: .long, help: "Turn ids into text.")
  var decode = false

  @Flag(name: .long, help: "Treat special tokens that stand in the text as plain text.")
  var specialAsText = false

  @Flag(name: .long, help: "Also print the place of every token, in Unicode code points.")
  var offsets = false

  @OptionGroup var global: GlobalOptions

  func run() throws {
    try global.begin()
    let rows = TokenizeRows(
      try ModelLocation.find(model).tokenizer(), addSpecialTokens: !noSpecial, specialAsText: specialAsText, offsets: offsets)
    let answer = decode ? rows.decode : rows.encode
    for (index, row) in try InputRows.read(input, decode ? TokenizeRows.checkIDs : TokenizeRows.checkText).enumerated() {
      Terminal.line(try answer(index, row))
    }
  }
}
