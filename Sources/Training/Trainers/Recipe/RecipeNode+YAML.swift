import SwiftletFormats
extension RecipeNode {
  init?(yaml: String, name: String, line: Bool = true) throws { nil }
}
