import ArgumentParser
import Swiftlet

/// `swiftlet runs`: a table of training runs, or of one run's steps.
struct Runs: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List training runs, or the steps of one.",
    discussion: """
      EXAMPLES:
        swiftlet runs
        swiftlet runs runs/mine
        swiftlet runs --in experiments --json
      """)

  @Argument(help: ArgumentHelp("A run folder.", valueName: "run"))
  var folder: String?

  @Option(name: .customLong("in"), help: ArgumentHelp("The folder whose runs are listed.", valueName: "dir"))
  var parent = "runs"

  @OptionGroup var global: GlobalOptions

  func run() throws {
    try global.begin()
    let report = try folder.map { try RunReport(run: $0) } ?? RunReport(folder: parent)
    if global.json { report.rows.forEach { Terminal.line($0) } } else { Terminal.line(report.text) }
  }
}
