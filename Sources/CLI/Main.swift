import ArgumentParser
import Swiftlet

/// The root of the command tree; what a command does lies in the library `Swiftlet`.
@main
struct SwiftletCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "swiftlet",
    abstract: "Teach a large language model on the machine you have.",
    discussion: """
      EXAMPLES:
        swiftlet doctor
        swiftlet plan recipe.yaml
        swiftlet train recipe.yaml --set plan.steps=100
        swiftlet chat runs/mine
        swiftlet export runs/mine --format merged --output merged

      Results go to stdout, progress to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
      """,
    version: Version.text,
    subcommands: [
      Doctor.self, Plan.self, Train.self, Generate.self, Chat.self, Score.self, Tokenize.self, Template.self, Export.self, Bench.self,
      Runs.self,
    ])

  static func main() async {
    do {
      var command = try parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      Terminal.finish(with: error, of: self)
    }
  }
}
