import ArgumentParser
import Swiftlet

/// `swiftlet plan`: the memory of a run before anything is allocated.
struct Plan: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Say how much memory a recipe needs, before anything is allocated.",
    discussion: """
      EXAMPLES:
        swiftlet plan recipe.yaml
        swiftlet plan recipe.yaml --set memory.checkpoint=everyBlock --json
      """)

  @Argument(help: ArgumentHelp("A YAML file.", valueName: "recipe"))
  var recipe: String

  @Option(name: .long, parsing: .singleValue, help: ArgumentHelp("Change a value of the recipe.", valueName: "key.path=value"))
  var set: [String] = []

  @OptionGroup var global: GlobalOptions

  func run() throws {
    try global.begin()
    let plan = try MemoryPlan(Recipe(file: recipe, settings: set)) { try ModelLocation.find($0).requireBase() }
    Terminal.line(global.json ? plan.json.serialized() : plan.description)
  }
}
