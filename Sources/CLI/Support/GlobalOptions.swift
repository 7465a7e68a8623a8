import ArgumentParser
import Swiftlet

/// Options of every command.
struct GlobalOptions: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("Where to compute: cpu, cuda or cuda:N.", valueName: "device"))
  var device: Device?

  @Flag(name: .long, help: "Print one JSON object a line.")
  var json = false

  @Flag(name: .long, help: "Print no progress.")
  var quiet = false

  /// Where to compute: what was asked for, else a GPU where a working one is found, else the processor.
  /// Says so where there is a GPU that does not open: nobody should wait for a processor unaware.
  var chosenDevice: Device {
    if let device { return device }
    if let reason = Device.whyNotCUDA { note("computing on the CPU: \(reason)") }
    return .best
  }

  /// Refuses a device that this build cannot use; called by each command before it works.
  func begin() throws {
    Interrupt.endProcessOnSignal()
    try (device ?? .cpu).check()
  }

  /// Writes a line of progress to stderr unless `--quiet`.
  func note(_ text: String) {
    if !quiet { Terminal.note(text + "\n") }
  }
}

extension Device: ExpressibleByArgument {
  /// Reads `cpu`, `cuda` or `cuda:N`.
  public init?(argument: String) { self.init(argument) }
}
