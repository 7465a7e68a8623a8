import SwiftletFormats

/// Reads rows in a recipe's layout.
struct RowReader {
  private let recipe: Recipe
  private let limit: Int

  init(_ recipe: Recipe, _ source: ModelSource) throws {
    self.recipe = recipe
    limit = try source.contextLength(recipe)
  }

  func rows(_ path: String) throws -> [TokenRow] {
    var rows: [TokenRow] = []
    for (index, line) in try RunFiles.read(path).split(separator: UInt8(ascii: "\n")).enumerated() {
      let json = try JSON(parsing: line)
      guard let ids = json["input_ids"]?.array?.compactMap({ $0.int.flatMap(Int32.init(exactly:)) }),
        let labels = json["labels"]?.array?.compactMap({ $0.int.flatMap(Int32.init(exactly:)) }), ids.count == labels.count
      else { throw TrainingError("\(path):\(index + 1): wants input_ids and labels of the same length") }
      rows.append(TokenRow(ids: Array(ids.prefix(limit)), labels: Array(labels.prefix(limit))))
    }
    return rows
  }

  func packed(_ rows: [TokenRow]) throws -> [TokenRow] { rows }
}
