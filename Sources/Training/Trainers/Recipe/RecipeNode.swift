import SwiftletFormats

/// A piece of a recipe with its place, so that errors can point at a line.
package struct RecipeNode {
  /// What stands there.
  package indirect enum Content {
    case scalar(JSON)
    case list([RecipeNode])
    case map([RecipeEntry])
  }
  package var content: Content
  /// `recipe.yaml:12`, `--set plan.steps=3`.
  package var place: String

  package init(_ content: Content, place: String) {
    self.content = content
    self.place = place
  }

  /// The kind as an error says it.
  var kind: String {
    switch content {
    case .scalar(.string(let text)): "\"\(text)\""
    case .scalar(.null): "nothing"
    case .scalar(let value): value.serialized()
    case .list: "a list"
    case .map: "a map of keys"
    }
  }

  var isNull: Bool { if case .scalar(.null) = content { true } else { false } }

  /// The node wrapped in maps, `a.b.c` from the outside in.
  func nested(under path: [String]) -> RecipeNode {
    path.reversed().reduce(self) { RecipeNode(.map([RecipeEntry(key: $1, node: $0)]), place: place) }
  }
}

/// A key of a recipe with its value.
package struct RecipeEntry {
  package let key: String
  package let node: RecipeNode
}

/// One thing that is wrong in a recipe.
public struct RecipeProblem: Hashable, Sendable, CustomStringConvertible {
  /// File and line, or the `--set` argument.
  public let place: String
  /// The key's path, `optimizer.adamW.learningRate`.
  public let path: String
  /// What was wanted and what was found.
  public let message: String
  /// `recipe.yaml:12: plan.steps: …`.
  public var description: String { [place, path, message].filter { !$0.isEmpty }.joined(separator: ": ") }
}

/// Everything that is wrong in a recipe, found in one pass.
public struct RecipeError: Error, Hashable, Sendable, CustomStringConvertible {
  /// At least one.
  public let problems: [RecipeProblem]
  /// One line a problem.
  public var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// Collects problems while a recipe is read.
package final class RecipeProblems {
  private(set) var all: [RecipeProblem] = []
  func add(_ node: RecipeNode?, _ path: String, _ message: String) {
    all.append(RecipeProblem(place: node?.place ?? "", path: path, message: message))
  }
  func throwIfAny() throws(RecipeError) { if !all.isEmpty { throw RecipeError(problems: all) } }
}
