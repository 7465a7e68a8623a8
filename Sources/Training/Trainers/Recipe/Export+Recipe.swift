import SwiftletExport
import SwiftletFormats

/// `merged`, or with its type `{gguf: q4_k_m}`.
extension ModelExport.Format: RecipeValue, RecipeDefault {
  package static var recipeDefault: ModelExport.Format { .adapter }

  package mutating func overlay(_ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    var (name, type): (String, String?) = ("", nil)
    switch node.content {
    case .scalar(.string(let text)): name = text
    case .map(let pairs) where pairs.count == 1:
      name = pairs[0].key
      guard case .scalar(let json) = pairs[0].node.content, json.isNull || json.string != nil else {
        return problems.add(pairs[0].node, join(path, name), "wants a type such as q4_k_m, found \(pairs[0].node.kind)")
      }
      type = json.string
    default: return problems.add(node, path, "wants a format, or {format: type} such as {gguf: q4_k_m}; found \(node.kind)")
    }
    do throws(ExportFormatError) { self = try ModelExport.Format(name, type: type) } catch {
      let hint = Suggestion.nearest(to: name, among: Self.names).map { $0 == name ? "" : "; did you mean \($0)?" } ?? ""
      problems.add(node, path, error.description + hint)
    }
  }

  package var recipeJSON: JSON { type.map { .object(JSONObject([(name, .string($0))])) } ?? .string(name) }
}
