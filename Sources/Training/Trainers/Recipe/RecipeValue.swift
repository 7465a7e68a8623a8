import SwiftletFormats

/// A value of a recipe: it takes what a recipe says on top of what it holds, and writes itself.
package protocol RecipeValue {
  /// Takes over what `node` says; the rest stays.
  mutating func overlay(_ node: RecipeNode, _ path: String, _ problems: RecipeProblems)
  /// The value as a recipe would say it.
  var recipeJSON: JSON { get }
}

/// A group of keys: the public option type itself. `fields` names each property once; reading, printing and the list of known keys all
/// come from it.
package protocol RecipeSection: RecipeValue {
  /// All defaults.
  init()
  /// Names every property.
  mutating func fields(_ visit: inout FieldVisitor)
  /// Settles keys that exclude each other. `given` are the keys of the overlay.
  mutating func settle(given: [String], _ node: RecipeNode, _ path: String, _ problems: RecipeProblems)
}

/// Goes over the properties of a section, to read or to write them.
package struct FieldVisitor {
  fileprivate enum Mode {
    case read([RecipeEntry], path: String, RecipeProblems)
    case write
  }
  fileprivate let mode: Mode
  fileprivate(set) var known: [String] = []
  fileprivate var written = JSONObject()

  /// One property under its name.
  package mutating func field<Value: RecipeValue>(_ name: String, _ value: inout Value) {
    known.append(name)
    switch mode {
    case .write: written[name] = value.recipeJSON
    case .read(let pairs, let path, let problems):
      for pair in pairs where pair.key == name { value.overlay(pair.node, join(path, name), problems) }
    }
  }

  /// A key of the contract that this version cannot serve: refused by name.
  package mutating func later(_ name: String, _ reason: String) {
    guard case .read(let pairs, let path, let problems) = mode else { return }
    known.append(name)
    for pair in pairs where pair.key == name && !pair.node.isNull { problems.add(pair.node, join(path, name), reason) }
  }
}

func join(_ path: String, _ key: String) -> String { path.isEmpty ? key : path + "." + key }

extension RecipeSection {
  package mutating func settle(given: [String], _ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {}

  package mutating func overlay(_ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    if node.isNull { return }
    guard case .map(let pairs) = node.content else { return problems.add(node, path, "wants keys and values, found \(node.kind)") }
    read(pairs, node, path, problems)
  }

  mutating func read(_ pairs: [RecipeEntry], _ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    var visit = FieldVisitor(mode: .read(pairs, path: path, problems))
    fields(&visit)
    for pair in pairs where !visit.known.contains(pair.key) {
      let hint = Suggestion.nearest(to: pair.key, among: visit.known).map { "; did you mean \($0)?" } ?? ""
      problems.add(pair.node, join(path, pair.key), "unknown key; known are \(visit.known.joined(separator: ", "))\(hint)")
    }
    settle(given: pairs.filter { !$0.node.isNull }.map(\.key), node, path, problems)
  }

  package var recipeJSON: JSON {
    var copy = self
    var visit = FieldVisitor(mode: .write)
    copy.fields(&visit)
    return .object(visit.written)
  }
}

/// A value that is exactly one of several, each with keys of its own: `{linear: {warmup: 10}}`.
package protocol RecipeChoice: RecipeValue {
  /// Names that can be chosen.
  static var choices: [String] { get }
  /// Names of the contract that this version lacks, refused by name.
  static var later: [String] { get }
  /// The choice `name` with its defaults; nil for an unknown name.
  init?(choice name: String)
  /// The name of what is chosen.
  var choice: String { get }
  /// Names the properties of what is chosen.
  mutating func fields(_ visit: inout FieldVisitor)
}

extension RecipeChoice {
  package static var later: [String] { [] }

  package mutating func overlay(_ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    switch node.content {
    case .scalar(.null): return
    case .scalar(.string(let name)): choose(name, node, nil, path, problems)
    case .map(let pairs) where pairs.count == 1: choose(pairs[0].key, pairs[0].node, pairs[0].node, path, problems)
    case .map(let pairs):
      problems.add(
        node, path, "wants exactly one of \(Self.choices.joined(separator: ", ")), found \(pairs.map(\.key).joined(separator: ", "))")
    default: problems.add(node, path, "wants one of \(Self.choices.joined(separator: ", ")), found \(node.kind)")
    }
  }

  private mutating func choose(_ name: String, _ node: RecipeNode, _ payload: RecipeNode?, _ path: String, _ problems: RecipeProblems) {
    if Self.later.contains(name) {
      let known = Self.choices.joined(separator: ", ")
      return problems.add(node, join(path, name), "not in this version yet; this version has \(known)")
    }
    guard let chosen = name == choice ? self : Self(choice: name) else {
      let hint = Suggestion.nearest(to: name, among: Self.choices).map { "; did you mean \($0)?" } ?? ""
      return problems.add(node, join(path, name), "unknown; known are \(Self.choices.joined(separator: ", "))\(hint)")
    }
    self = chosen
    guard let payload, !payload.isNull else { return }
    var section = ChoicePayload(choice: self)
    section.overlay(payload, join(path, name), problems)
    if let chosen = section.choice { self = chosen }
  }

  package var recipeJSON: JSON {
    var copy = self
    var visit = FieldVisitor(mode: .write)
    copy.fields(&visit)
    return .object(JSONObject([(choice, .object(visit.written))]))
  }
}

/// Lets the keys of a choice be read by the code for sections.
private struct ChoicePayload<Choice: RecipeChoice>: RecipeSection {
  var choice: Choice?
  init(choice: Choice) { self.choice = choice }
  init() { choice = nil }
  mutating func fields(_ visit: inout FieldVisitor) { choice?.fields(&visit) }
}

extension Optional: RecipeValue where Wrapped: RecipeValue & RecipeDefault {
  package mutating func overlay(_ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    if node.isNull { return self = nil }
    var value = self ?? Wrapped.recipeDefault
    value.overlay(node, path, problems)
    self = value
  }
  package var recipeJSON: JSON { map(\.recipeJSON) ?? .null }
}

/// A value that an optional property starts from.
package protocol RecipeDefault {
  static var recipeDefault: Self { get }
}

extension RecipeSection where Self: RecipeDefault {
  package static var recipeDefault: Self { Self() }
}

extension Int: RecipeValue, RecipeDefault {
  package static var recipeDefault: Int { 0 }
  package mutating func overlay(_ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    guard case .scalar(let json) = node.content, let value = json.int else {
      return problems.add(node, path, "wants a whole number, found \(node.kind)")
    }
    self = value
  }
  package var recipeJSON: JSON { .int(self) }
}

extension Double: RecipeValue, RecipeDefault {
  package static var recipeDefault: Double { 0 }
  package mutating func overlay(_ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    // YAML 1.1 takes 2e-4 (no point) for a string; every user means a number.
    let value: Double? = if case .scalar(let json) = node.content { json.double ?? json.string.flatMap { Double($0) } } else { nil }
    guard let value, value.isFinite else { return problems.add(node, path, "wants a number, found \(node.kind)") }
    self = value
  }
  package var recipeJSON: JSON { Int(exactly: self).map { .int($0) } ?? .number(self) }
}

extension Float: RecipeValue {
  package mutating func overlay(_ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    var value = Double(self)
    value.overlay(node, path, problems)
    self = Float(value)
  }
  // By its own digits: 0.1 stays 0.1.
  package var recipeJSON: JSON { Int(exactly: self).map { .int($0) } ?? .number(Double(description) ?? Double(self)) }
}

extension Bool: RecipeValue, RecipeDefault {
  package static var recipeDefault: Bool { false }
  package mutating func overlay(_ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    guard case .scalar(.bool(let value)) = node.content else { return problems.add(node, path, "wants true or false, found \(node.kind)") }
    self = value
  }
  package var recipeJSON: JSON { .bool(self) }
}

extension String: RecipeValue, RecipeDefault {
  package static var recipeDefault: String { "" }
  package mutating func overlay(_ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    switch node.content {
    case .scalar(.string(let value)): self = value
    // A path or name such as 2024 is a string all the same.
    case .scalar(.int(let value)): self = String(value)
    default: problems.add(node, path, "wants text, found \(node.kind)")
    }
  }
  package var recipeJSON: JSON { .string(self) }
}

extension Array: RecipeValue where Element: RecipeValue & RecipeDefault {
  package mutating func overlay(_ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    guard case .list(let items) = node.content else { return problems.add(node, path, "wants a list, found \(node.kind)") }
    self = items.enumerated().map { index, item in
      var value = Element.recipeDefault
      value.overlay(item, "\(path)[\(index)]", problems)
      return value
    }
  }
  package var recipeJSON: JSON { .array(map(\.recipeJSON)) }
}
extension Array: RecipeDefault where Element: RecipeValue & RecipeDefault {
  package static var recipeDefault: [Element] { [] }
}

/// A word out of a fixed set.
package protocol RecipeWord: RecipeValue, RecipeDefault, RawRepresentable, CaseIterable where RawValue == String {
  /// Words of the contract that this version lacks.
  static var later: [String] { get }
}

extension RecipeWord {
  package static var later: [String] { [] }
  package mutating func overlay(_ node: RecipeNode, _ path: String, _ problems: RecipeProblems) { overlayWord(node, path, problems) }
  mutating func overlayWord(_ node: RecipeNode, _ path: String, _ problems: RecipeProblems) {
    let known = Self.allCases.map(\.rawValue)
    guard case .scalar(let json) = node.content, let word = json.string else {
      return problems.add(node, path, "wants one of \(known.joined(separator: ", ")), found \(node.kind)")
    }
    if let value = Self(rawValue: word) { return self = value }
    if Self.later.contains(word) {
      return problems.add(node, path, "\(word) is not in this version yet; this version has \(known.joined(separator: ", "))")
    }
    let hint = Suggestion.nearest(to: word, among: known).map { "; did you mean \($0)?" } ?? ""
    problems.add(node, path, "wants one of \(known.joined(separator: ", ")), found \"\(word)\"\(hint)")
  }
  package var recipeJSON: JSON { .string(rawValue) }
}
