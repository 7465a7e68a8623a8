import SwiftletCPU
import SwiftletFormats
import SwiftletOptimizers

/// Everything that determines a training run. A recipe file is an overlay on the defaults of these types; what a run was made with is saved
/// whole beside it.
///
/// Relative paths are relative to the current directory, as everywhere on a command line.
public struct Recipe: Hashable, Sendable {
  /// Which model.
  public var model = ModelOptions()
  /// Which adapter; nil trains every weight.
  public var adapter: AdapterOptions?
  /// What is trained on.
  public var data = DataOptions()
  /// How the model is taught.
  public var method = MethodOption.sft(SFTOptions())
  /// How weights are updated.
  public var optimizer = OptimizerChoice.adamW(AdamWOptions())
  /// How the learning rate moves.
  public var schedule = Schedule.linear()
  /// How long and in which portions.
  public var plan = PlanOptions()
  /// What is given up for memory.
  public var memory = MemoryOptions()
  /// When held-out rows are evaluated.
  public var evaluation = EvaluationOptions()
  /// What is kept.
  public var saving = SavingOptions()
  /// The run folder.
  public var output: String?

  /// All defaults.
  public init() {}
}

extension Recipe: RecipeSection {
  package mutating func fields(_ visit: inout FieldVisitor) {
    visit.field("model", &model)
    visit.field("adapter", &adapter)
    visit.field("data", &data)
    visit.field("method", &method)
    visit.field("optimizer", &optimizer)
    visit.field("schedule", &schedule)
    visit.field("plan", &plan)
    visit.field("memory", &memory)
    visit.field("evaluation", &evaluation)
    visit.field("saving", &saving)
    visit.field("output", &output)
  }
}

extension Recipe {
  /// Reads a recipe file and then each `key.path=value`, in order, on top of the defaults.
  /// - Throws: `RecipeError` with every problem found, `FileError` where the file cannot be read.
  public init(file: String, settings: [String] = []) throws {
    let bytes = try Files.read(file)
    try self.init(text: String(decoding: bytes, as: UTF8.self), name: file, settings: settings)
  }

  /// Reads the text of a recipe; `name` stands for the file in errors.
  public init(text: String, name: String = "recipe", settings: [String] = []) throws {
    self.init()
    let problems = RecipeProblems()
    if let node = try RecipeNode(yaml: text, name: name) { overlay(node, "", problems) }
    for setting in settings { apply(setting, problems) }
    try problems.throwIfAny()
  }

  private mutating func apply(_ setting: String, _ problems: RecipeProblems) {
    let place = "--set \(setting)"
    guard let equals = setting.firstIndex(of: "="), equals != setting.startIndex else {
      return problems.add(RecipeNode(.scalar(.null), place: place), "", "wants key.path=value")
    }
    let path = setting[..<equals].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    do {
      let value = try RecipeNode(yaml: String(setting[setting.index(after: equals)...]), name: place, line: false)
      overlay((value ?? RecipeNode(.scalar(.null), place: place)).nested(under: path), "", problems)
    } catch {
      problems.add(RecipeNode(.scalar(.null), place: place), path.joined(separator: "."), "\(error)")
    }
  }

  /// The whole effective recipe as YAML, every key with its value. Reading it again gives the same recipe.
  public var yaml: String { recipeJSON.yaml() }

  /// Paths of keys whose values differ from those of `other`, as `plan.seed: 1 instead of 2`.
  public func differences(from other: Recipe) -> [String] {
    var found: [String] = []
    func compare(_ a: JSON?, _ b: JSON?, _ path: String) {
      if a == b { return }
      if let x = a?.object, let y = b?.object {
        for key in x.keys + y.keys.filter({ x[$0] == nil }) { compare(x[key], y[key], join(path, key)) }
      } else {
        found.append("\(path): \(a?.serialized() ?? "nothing") instead of \(b?.serialized() ?? "nothing")")
      }
    }
    compare(recipeJSON, other.recipeJSON, "")
    return found
  }
}
