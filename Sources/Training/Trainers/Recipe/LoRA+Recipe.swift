import SwiftletFormats
import SwiftletModels

extension LoRA: RecipeSection, RecipeDefault {
  package init() { self.init(rank: 16) }

  package mutating func fields(_ visit: inout FieldVisitor) {
    visit.field("rank", &rank)
    visit.field("alpha", &alpha)
    visit.field("dropout", &dropout)
    visit.field("targets", &targets)
    visit.field("targetParameters", &targetParameters)
    visit.field("exclude", &exclude)
    visit.field("rankPattern", &rankPattern)
    visit.field("alphaPattern", &alphaPattern)
    visit.field("layers", &layers)
    visit.field("layersPattern", &layersPattern)
    visit.field("useRSLoRA", &useRSLoRA)
    visit.field("useDoRA", &useDoRA)
    visit.field("modulesToSave", &modulesToSave)
    visit.field("initialisation", &initialisation)
  }
}

extension LoRA.Initialisation: CaseIterable, RecipeWord {
  package static var recipeDefault: LoRA.Initialisation { .kaiming }
  /// Every way.
  public static var allCases: [LoRA.Initialisation] { [.kaiming, .gaussian] }
}

/// `allLinear`, one name, a list of names, or `{regex: …}`.
extension LoRA.Targets: RecipeValue {
  package mutating func overlay(_ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    switch node.content {
    case .scalar(.string("allLinear")), .scalar(.string("all-linear")): self = .allLinear
    case .scalar(.string(let name)): self = .names([name])
    case .list:
      var names: [String] = []
      names.overlay(node, path, problems)
      self = .names(names)
    case .map(let pairs) where pairs.count == 1 && pairs[0].key == "regex":
      var text = ""
      text.overlay(pairs[0].node, join(path, "regex"), problems)
      self = .pattern(text)
    default: problems.add(node, path, "wants allLinear, a list of module names, or {regex: …}; found \(node.kind)")
    }
  }

  package var recipeJSON: JSON {
    switch self {
    case .allLinear: .string("allLinear")
    case .names(let names): names.recipeJSON
    case .pattern(let pattern): .object(JSONObject([("regex", .string(pattern))]))
    }
  }
}

/// Free keys: a map from patterns to numbers.
extension Dictionary: RecipeValue where Key == String, Value: RecipeValue & RecipeDefault {
  package mutating func overlay(_ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    guard case .map(let pairs) = node.content else { return problems.add(node, path, "wants keys and values, found \(node.kind)") }
    for pair in pairs {
      var value = self[pair.key] ?? Value.recipeDefault
      value.overlay(pair.node, join(path, pair.key), problems)
      self[pair.key] = value
    }
  }

  package var recipeJSON: JSON {
    .object(JSONObject(sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map { ($0.key, $0.value.recipeJSON) }))
  }
}
