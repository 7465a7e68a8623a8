/// A plain table: columns as wide as their widest cell, numbers to the right.
public struct Table {
  private var rows: [[String]]

  /// A table with a heading line.
  public init(_ heading: [String]) { rows = [heading] }

  /// Adds a line of as many cells as the heading has.
  public mutating func add(_ cells: [String]) { rows.append(cells) }

  /// The lines; no spaces at their ends.
  public var text: String {
    let widths = rows[0].indices.map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
    let numeric = rows[0].indices.map { column in rows.dropFirst().allSatisfy { column < $0.count && Table.isNumber($0[column]) } }
    return rows.map { row in
      let cells = row.enumerated().map { column, cell in
        let space = String(repeating: " ", count: widths[column] - cell.count)
        return numeric[column] ? space + cell : cell + space
      }
      let line = cells.joined(separator: "  ")
      return String(line.reversed().drop { $0 == " " }.reversed())
    }.joined(separator: "\n")
  }

  private static func isNumber(_ cell: String) -> Bool {
    cell == "–" || cell.first.map { $0.isNumber || $0 == "-" } == true
  }
}
