/// One row that cannot be used: where it stands and what is wrong in it.
public struct RowFinding: Hashable, Sendable, CustomStringConvertible {
  /// The file as it was named.
  public let file: String
  /// Line, from 1.
  public let line: Int
  /// Column in bytes, from 1, of the value at fault (or of the deepest value on the way to it).
  public let column: Int
  /// The field, what was found and what is wanted: `"messages"[2].content is a number, want a string`.
  public let message: String
  /// The row's text around the fault, cut.
  public let excerpt: String

  /// `file:line:column: message`, and the excerpt on a line of its own.
  public var description: String {
    "\(file):\(line):\(column): \(message)" + (excerpt.isEmpty ? "" : "\n    \(excerpt)")
  }
}

/// Why a data set cannot be used.
public struct DatasetError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What is wrong with the set as a whole.
  public let summary: String
  /// The first bad rows, where rows are at fault.
  public let findings: [RowFinding]
  /// Bad rows in all.
  public let total: Int

  /// How many findings an error lists.
  public static let listed = 20

  package init(_ summary: String, findings: [RowFinding] = [], total: Int = 0) {
    self.summary = summary
    self.findings = findings
    self.total = total
  }

  /// The findings, a line or two each, then the summary.
  public var description: String { (findings.map(\.description) + [summary]).joined(separator: "\n") }
}
