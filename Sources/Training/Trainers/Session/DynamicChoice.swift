import SwiftletCPU
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletLayers
import SwiftletTensorCore

/// Which layers of a run with `weights: dynamic4bit` stay in 16 bits, and the table that says so in its folders: a run that goes on takes the
/// choice that it began with, and measures nothing.
struct DynamicChoice {
  /// They, and how the rest is coded; nil with other weights.
  let scheme: FourBitScheme?
  /// What a log says of it.
  let notes: [String]
  private let table: [UInt8]

  /// - Parameters:
  ///   - resumes: whether the run goes on.
  ///   - checkpoint: what it goes on from; nil where it has none.
  ///   - warn: for what is odd about rows of `calibration`.
  /// - Throws: where a table is damaged, or the weights cannot be measured.
  init(
    _ recipe: Recipe, _ source: ModelSource, _ folder: RunFolder, resumes: Bool, checkpoint: String?, warn: @escaping (String) -> Void
  ) throws {
    guard recipe.model.weights == .dynamic4bit, let base = source.folder else {
      (scheme, notes, table) = (nil, [], [])
      return
    }
    // An adapter that is trained on has its choice beside it.
    let places = resumes ? [checkpoint, folder.path] : [recipe.adapter?.start]
    for place in places.compactMap(\.self) {
      guard let recorded = try FourBitChoice.scheme(recordedIn: place) else { continue }
      let path = Files.join(place, FourBitChoice.fileName)
      (scheme, table) = (recorded, try Files.read(path))
      notes = ["\(recorded.kept.count) modules stay in 16 bits, as \(path) says"]
      return
    }
    let choice = try DynamicChoice.measured(recipe, source, base, warn)
    (scheme, table) = (choice.scheme, choice.file)
    notes = [choice.summary] + (choice.kept.isEmpty ? [] : ["in 16 bits: " + choice.kept.sorted().joined(separator: ", ")])
  }

  private static func measured(
    _ recipe: Recipe, _ source: ModelSource, _ base: String, _ warn: @escaping (String) -> Void
  ) throws -> FourBitChoice {
    let options = recipe.model.dynamic4bit
    let rows = try options.calibration.map { try RowReader(recipe, source, warn: warn).rows($0).map(\.ids) } ?? []
    return try FourBitChoice(
      measuring: base, text: source.tokenizer, on: source.device, calibration: rows, budget: options.budget)
  }

  /// Writes the table into a folder; nothing with other weights.
  func write(to folder: String) throws {
    guard scheme != nil else { return }
    try AtomicFile.write(Files.join(folder, FourBitChoice.fileName), bytes: table)
  }
}
