import SwiftletCPU
import SwiftletFormats

/// The beginnings of a few rows of a run, as token ids in its `run.json`: what an export of its weights is compared on.
package enum RunSamples {
  static let key = "samples"
  private static let (rows, tokens) = (4, 64)

  /// The first tokens of the first rows, of held-out ones where there are any.
  static func of(_ data: PreparedData) -> [[Int32]] {
    (data.heldOut.isEmpty ? data.rows : data.heldOut).prefix(rows).map { row in
      Array(row.ids.prefix(min(tokens, row.lengths.first ?? tokens)))
    }
  }

  static func json(_ samples: [[Int32]]) -> JSON {
    .array(samples.map { .string($0.map(String.init).joined(separator: " ")) })
  }

  /// The samples of the run that the weights in `folder` belong to: the folder itself or the one above holds `run.json`.
  /// - Returns: rows of ids below `vocabulary`; none where there is no such run, or its record is older.
  package static func near(_ folder: String, vocabulary: Int) -> [[Int32]] {
    for run in [folder, folder + "/.."] {
      guard let record = try? JSON(parsing: Files.read(run + "/run.json")), let samples = record[key]?.array else { continue }
      return samples.prefix(rows).compactMap { sample in
        let ids = (sample.string ?? "").split(separator: " ").prefix(tokens).map { Int32($0) ?? -1 }
        return ids.isEmpty || ids.contains { $0 < 0 || Int($0) >= vocabulary } ? nil : ids
      }
    }
    return []
  }
}
