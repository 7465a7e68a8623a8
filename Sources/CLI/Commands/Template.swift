import ArgumentParser
import Swiftlet

/// `swiftlet template`: conversations as the model reads them.
struct Template: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Render conversations with a chat template.",
    discussion: """
      Rows are {"messages","tools"?,"add_generation_prompt"?,"continue_final_message"?,"special_tokens"?,"variables"?,"now"?}.
      Prints {"index","text"} a row, or {"index","error"} where the template refuses a conversation.

      EXAMPLES:
        echo '{"messages":[{"role":"user","content":"Hi"}],"add_generation_prompt":true}' | swiftlet template models/qwen --input -
        swiftlet template --template chat_template.jinja --input rows.jsonl
      """)

  @Argument(help: ArgumentHelp("A folder with tokenizer files, or a model.", valueName: "model"))
  var model: String?

  @Option(name: .long, help: ArgumentHelp("A template file instead of the model's.", valueName: "file"))
  var template: String?

  @Option(name: .long, help: ArgumentHelp("Rows as JSONL; - is standard input.", valueName: "rows.jsonl"))
  var input: String

  @Flag(name: .long, help: "Also print the places of generated text, in Unicode code points.")
  var spans = false

  @OptionGroup var global: GlobalOptions

  func validate() throws {
    if model == nil && template == nil { throw ValidationError("a MODEL or --template FILE is wanted") }
  }

  func run() throws {
    try global.begin()
    let rows = try TemplateRows(model: model, template: template, spans: spans)
    for (index, row) in try InputRows.read(input, TemplateRows.Row.init).enumerated() {
      Terminal.line(rows.answer(index, row))
    }
  }
}
