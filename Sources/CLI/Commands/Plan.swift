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

  @Option(
    name: .long,
    help: ArgumentHelp("Plan for a GPU with this much memory that need not be here, in gigabytes (10⁹ bytes).", valueName: "gb"))
  var gpuMemory: Double?

  @Option(name: .long, help: ArgumentHelp("That GPU's compute capability.", valueName: "x.y"))
  var capability = "8.6"

  @OptionGroup var global: GlobalOptions

  func validate() throws {
    if capability.split(separator: ".").compactMap({ Int($0) }).count != 2 {
      throw ValidationError("--capability is \(capability), want two numbers such as 8.9")
    }
  }

  /// The GPU to plan for; nil for the processor.
  private func gpu() throws -> PlannedGPU? {
    if let gpuMemory {
      let numbers = capability.split(separator: ".").compactMap { Int($0) }
      return PlannedGPU(capability: (numbers[0], numbers[1]), bytes: Int(gpuMemory * 1e9))
    }
    let device = global.chosenDevice
    return device.isCUDA ? PlannedGPU(device.gpu) : nil
  }

  func run() throws {
    if gpuMemory == nil { try global.begin() }
    let recipe = try Recipe(file: recipe, settings: set)
    let resolve = { (name: String) in try ModelLocation.find(name).requireBase() }
    let plan = try gpu().map { try MemoryPlan(recipe, on: $0, resolveModel: resolve) } ?? MemoryPlan(recipe, resolveModel: resolve)
    Terminal.line(global.json ? plan.json.serialized() : plan.description)
  }
}
