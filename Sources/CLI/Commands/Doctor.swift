import ArgumentParser
import Swiftlet

/// `swiftlet doctor`: what this machine has and what it lacks.
struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Say what this machine gives, and what is missing.",
    discussion: """
      EXAMPLES:
        swiftlet doctor
        swiftlet doctor --selftest
        swiftlet doctor --json
      """)

  @Flag(name: .long, help: "Also check every operation against its definition.")
  var selftest = false

  @OptionGroup var global: GlobalOptions

  func run() throws {
    try global.begin()
  }
}
