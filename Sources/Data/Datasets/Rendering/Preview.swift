extension RowRenderer {
  /// How a preview marks what is trained on.
  public enum Marking: Sendable {
    /// Double brackets.
    case brackets
    /// Green, the rest grey.
    case colour
  }

  /// A tokenized row as text again, with what is trained on marked.
  public func preview(_ row: TokenizedRow, marking: Marking = .brackets) -> String {
    var out = ""
    var start = 0
    while start < row.ids.count {
      let isTrained = row.labels[start] != TokenizedRow.ignored
      let end = row.labels[start...].firstIndex { ($0 != TokenizedRow.ignored) != isTrained } ?? row.ids.count
      let text = Self.safe(codec.decode(row.ids[start..<end].map { Int($0) }))
      switch marking {
      case .brackets: out += isTrained ? "⟦\(text)⟧" : text
      case .colour: out += "\u{1B}[\(isTrained ? 32 : 90)m\(text)\u{1B}[0m"
      }
      start = end
    }
    return out
  }

  /// Rows of a data set, rendered and masked, each under a line that says where it stands.
  /// - Throws: as `tokenize`.
  public func preview(_ data: Dataset, rows: Range<Int>, marking: Marking = .brackets) throws -> String {
    try rows.clamped(to: 0..<data.count).map { index in
      let (row, facts) = try render(try data.example(index))
      let place = data.origin(of: index)
      let cut = facts.fullCount > row.ids.count ? ", cut from \(facts.fullCount)" : ""
      return
        "── \(place.file):\(place.line)  \(row.ids.count) tokens\(cut), \(row.trainedTokens) trained\n\(preview(row, marking: marking))"
    }.joined(separator: "\n")
  }

  /// Control characters of a data set must not reach a terminal.
  private static func safe(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      let isControl = (scalar.value < 0x20 && scalar != "\n" && scalar != "\t") || (0x7F..<0xA0).contains(scalar.value)
      out.unicodeScalars.append(isControl ? "\u{FFFD}" : scalar)
    }
    return out
  }
}
