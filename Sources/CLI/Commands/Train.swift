import ArgumentParser
import Swiftlet

/// `swiftlet train`: a recipe to a run folder.
struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Fine-tune a model as a recipe says.",
    discussion: """
      Ctrl-C writes a checkpoint and ends with code 130; --resume goes on from there, bit for bit.

      EXAMPLES:
        swiftlet train recipe.yaml
        swiftlet train recipe.yaml --set plan.steps=100 --set optimizer.adamW.learningRate=1e-4
        swiftlet train recipe.yaml --print
        swiftlet train --resume runs/mine
      """)

  @Argument(help: ArgumentHelp("A YAML file; may be left out with --resume.", valueName: "recipe"))
  var recipe: String?

  @Option(name: .long, parsing: .singleValue, help: ArgumentHelp("Change a value of the recipe.", valueName: "key.path=value"))
  var set: [String] = []

  @Option(name: .long, help: ArgumentHelp("Go on with the newest checkpoint of a run folder.", valueName: "run"))
  var resume: String?

  @Flag(name: .long, help: "Print the whole effective recipe and end.")
  var print = false

  @OptionGroup var global: GlobalOptions

  func validate() throws {
    if recipe == nil, resume == nil { throw ValidationError("a recipe is missing") }
  }

  func run() throws {
    try global.begin()
    let recipe = try Recipe(file: recipe ?? (resume ?? "") + "/recipe.yaml", settings: set)
    if print { return Terminal.write(recipe.yaml) }
    Interrupt.catchSignal()
    var surroundings = TrainingSession.Surroundings()
    surroundings.version = Version.text
    surroundings.device = global.chosenDevice
    surroundings.isInterrupted = { Interrupt.isWanted }
    surroundings.resolveModel = { try ModelLocation.find($0).requireBase() }
    surroundings.sinks = [TerminalSink(quiet: global.quiet || global.json)]
    surroundings.sinks.append(
      global.json
        ? JSONEventSink { Terminal.write($0) } : ClosureSink { if case .exported(let text, _) = $0 { Terminal.line(text) } })
    let session = try TrainingSession(recipe, resume: resume, surroundings)
    if try session.train() == .interrupted { throw ExitCode(130) }
  }
}
