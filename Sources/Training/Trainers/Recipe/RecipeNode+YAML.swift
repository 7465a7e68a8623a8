import SwiftletFormats

extension RecipeNode {
  /// Reads YAML; nil for an empty text. `name` stands for the file in errors; `line` says whether places tell the line.
  /// - Throws: `RecipeError` naming the line.
  init?(yaml: String, name: String, line: Bool = true) throws(RecipeError) {
    do throws(YAMLError) {
      let document = try YAMLDocument(parsing: yaml)
      if document.value.isNull { return nil }
      self.init(document.value, at: JSONPath()) { line ? "\(name):\(document.place(of: $0).line)" : name }
    } catch {
      throw RecipeError(problems: [RecipeProblem(place: line ? "\(name):\(error.line)" : name, path: "", message: error.message)])
    }
  }

  private init(_ value: JSON, at path: JSONPath, place: (JSONPath) -> String) {
    self.place = place(path)
    switch value {
    case .object(let object):
      content = .map(object.map { RecipeEntry(key: $0.key, node: RecipeNode($0.value, at: path.appending($0.key), place: place)) })
    case .array(let elements):
      content = .list(elements.enumerated().map { RecipeNode($0.element, at: path.appending($0.offset), place: place) })
    default: content = .scalar(value)
    }
  }
}
