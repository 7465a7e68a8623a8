import ArgumentParser
import Foundation
import Swiftlet

/// `swiftlet chat`: a conversation on the terminal; lines of a pipe work, too.
struct Chat: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Talk with a model.",
    discussion: """
      One line is one message. /new starts over, /exit or Ctrl-D ends.

      EXAMPLES:
        swiftlet chat models/qwen
        swiftlet chat runs/mine --system "Answer in one sentence." --temperature 0.7
        echo "Who are you?" | swiftlet chat models/qwen
      """)

  @OptionGroup var source: ModelOptions

  @Option(name: .long, help: ArgumentHelp("The system message.", valueName: "text"))
  var system: String?

  @OptionGroup var sampling: SamplingFlags

  @OptionGroup var global: GlobalOptions

  func run() throws {
    try global.begin()
    var conversation = try ChatSession(source.load(global), system: system, options: sampling.options)
    let interactive = isatty(STDIN_FILENO) == 1
    while true {
      if interactive { Terminal.note(Terminal.paint("> ", 36)) }
      guard let line = readLine() else { break }
      switch line {
      case "": continue
      case "/exit": return
      case "/new": conversation.reset()
      default: try answer(line, &conversation)
      }
    }
    if interactive { Terminal.note("\n") }
  }

  private func answer(_ line: String, _ conversation: inout ChatSession) throws {
    let answer = try conversation.answer(to: line) { if !global.json { Terminal.write($0) } }
    if global.json { Terminal.line(answer.json) } else { Terminal.write("\n") }
  }
}
