/// A YAML document as JSON values, with the place of each, so that later layers can say `recipe.yaml:12: adapter.lora.rnak: unknown key`.
///
/// A safe subset of YAML 1.2: mappings with string keys, sequences, scalars. Anchors, aliases, tags, merge keys, several documents,
/// duplicate keys and nesting over 64 are errors. Plain scalars follow the core schema: `true`/`false`, `null`/`~`, decimal numbers
/// (`1e-4` is one); everything else is a string, also `yes`, `no`, `on` and `off`. What YAML 1.1 and 1.2 read differently as a number
/// (`010`, `1_000`, `0x1F`, `.inf`) is an error that asks for quotation marks.
public struct YAMLDocument: Sendable {
  /// The document; an empty one is null.
  public let value: JSON
  let marks: YAMLMarks

  /// Longest text that is read, in bytes.
  public static let sizeLimit = 1_000_000
  /// Deepest nesting.
  public static let depthLimit = 64

  /// The line and column (from 1) of what stands at `path`: a key of a mapping, an element of a sequence. Where there is no such value,
  /// the place of the deepest one on the way.
  public func place(of path: JSONPath) -> (line: Int, column: Int) {
    var marks = marks
    for part in path.parts {
      let next: YAMLMarks?
      switch part {
      case .key(let key): next = marks.members[ExactString(key)]
      case .index(let index): next = marks.elements.indices.contains(index) ? marks.elements[index] : nil
      }
      guard let next else { break }
      marks = next
    }
    return (marks.line, marks.column)
  }
}

/// Places of a value and of all in it.
struct YAMLMarks: Sendable {
  var line: Int
  var column: Int
  var members: [ExactString: YAMLMarks] = [:]
  var elements: [YAMLMarks] = []
}
