import SwiftletFormats
import Yams

extension RecipeNode {
  private static let maxBytes = 1 << 18
  private static let maxDepth = 32
  private static let maxNodes = 20_000

  /// Reads YAML; nil for an empty text. `name` stands for the file in errors; `line` says whether places tell the line.
  /// - Throws: `RecipeError` naming the line.
  init?(yaml: String, name: String, line: Bool = true) throws(RecipeError) {
    func failure(_ message: String, _ at: Int? = nil) -> RecipeError {
      RecipeError(problems: [RecipeProblem(place: at.map { "\(name):\($0)" } ?? name, path: "", message: message)])
    }
    if yaml.utf8.count > RecipeNode.maxBytes {
      throw failure("a recipe has at most \(RecipeNode.maxBytes) bytes, found \(yaml.utf8.count)")
    }
    // The parser below recurses for each level, so hostile depth is refused before it.
    if let at = RecipeNode.tooDeep(yaml) { throw failure("nested too deeply", at) }
    let root: Node?
    do {
      root = try Yams.compose(yaml: yaml)
    } catch let error as YamlError {
      throw failure("not YAML: \(error)")
    } catch {
      throw failure("not YAML: \(error)")
    }
    guard let root else { return nil }
    var budget = RecipeNode.maxNodes
    guard let node = RecipeNode(root, name, line, &budget, depth: 0) else {
      throw failure("more than \(RecipeNode.maxNodes) values or \(RecipeNode.maxDepth) levels, or a key that is no text")
    }
    self = node
  }

  private init?(_ node: Node, _ name: String, _ line: Bool, _ budget: inout Int, depth: Int) {
    budget -= 1
    if budget < 0 || depth > RecipeNode.maxDepth { return nil }
    place = line ? node.mark.map { "\(name):\($0.line)" } ?? name : name
    switch node {
    case .scalar(let scalar): content = .scalar(RecipeNode.value(scalar))
    case .sequence(let sequence):
      var items: [RecipeNode] = []
      for item in sequence {
        guard let inner = RecipeNode(item, name, line, &budget, depth: depth + 1) else { return nil }
        items.append(inner)
      }
      content = .list(items)
    case .mapping(let mapping):
      var entries: [RecipeEntry] = []
      for (key, value) in mapping {
        guard let text = key.scalar?.string, var inner = RecipeNode(value, name, line, &budget, depth: depth + 1) else { return nil }
        if line, let mark = key.mark { inner.place = "\(name):\(mark.line)" }
        entries.append(RecipeEntry(key: text, node: inner))
      }
      content = .map(entries)
    case .alias: return nil
    }
  }

  /// YAML 1.2's core schema.
  private static func value(_ scalar: Node.Scalar) -> JSON {
    let text = scalar.string
    guard scalar.style == .plain || scalar.style == .any else { return .string(text) }
    switch text {
    case "", "~", "null", "Null", "NULL": return .null
    case "true", "True", "TRUE": return .bool(true)
    case "false", "False", "FALSE": return .bool(false)
    default: break
    }
    if let number = Int(text) { return .int(number) }
    let isNumeric = text.utf8.allSatisfy { ($0 >= 48 && $0 <= 57) || [43, 45, 46, 69, 101].contains($0) }
    if isNumeric, let number = Double(text), number.isFinite { return .number(number) }
    return .string(text)
  }

  /// The line where brackets or dashes nest deeper than any recipe; nil where none does.
  private static func tooDeep(_ text: String) -> Int? {
    var (depth, dashes, line, indent) = (0, 0, 1, 0)
    var atStart = true
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\n"): (line, dashes, indent, atStart) = (line + 1, 0, 0, true)
      case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: "]"), UInt8(ascii: "}"): depth = max(0, depth - 1)
      case UInt8(ascii: "-"), UInt8(ascii: "?"): if atStart { dashes += 1 }
      case UInt8(ascii: " "): if atStart { indent += 1 }
      default: atStart = false
      }
      if depth > maxDepth || dashes > maxDepth || indent > 256 { return line }
    }
    return nil
  }
}
