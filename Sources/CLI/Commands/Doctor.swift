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
        swiftlet doctor --selftest --device cuda
        swiftlet doctor --json
      """)

  @Flag(name: .long, help: "Also check every operation against its definition, on the processor and the GPU, or on --device alone.")
  var selftest = false

  @Option(name: .long, help: "Of the checks, run those whose names hold this text.")
  var only: String?

  @OptionGroup var global: GlobalOptions

  func run() throws {
    try global.begin()
    for line in DoctorReport().lines { Terminal.line(global.json ? line.json.serialized() : line.text) }
    if selftest { try check() }
  }

  private func check() throws {
    var failed = 0
    for check in SelfCheck.on(global.device) where only.map(check.name.contains) ?? true {
      global.note("checking \(check.name)")
      for result in check.run() {
        if !result.passed { failed += 1 }
        Terminal.line(global.json ? DoctorReport.json(result).serialized() : "\(result)")
      }
    }
    if failed > 0 {
      throw Failure(
        "\(failed) checks failed", at: "selftest", why: "an operation is further from its definition than rounding explains",
        fix: "report the lines marked FAILED, with the names of processor and GPU")
    }
  }
}
