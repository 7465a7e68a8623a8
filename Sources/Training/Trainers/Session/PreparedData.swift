import SwiftletCPU
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletTensorCore
import SwiftletTokenizers
import SwiftletTracking

/// The rows of a recipe as token rows, checked before anything is trained.
struct PreparedData {
  let rows: [TokenRow]
  let heldOut: [TokenRow]
  /// Changes with any id, label or boundary of any row, and with their order.
  let hash: String
  /// What a log says of the data.
  let notes: [String]
  private let tokenizerFolder: String?

  /// - Throws: with file, line and field, up to 20 findings in one pass.
  init(_ recipe: Recipe, _ source: ModelSource, _ run: Run) throws {
    tokenizerFolder = PreparedData.savable(source.tokenizer, run.warn)
    let reader = try RowReader(recipe, source, warn: run.warn)
    var (rows, heldOut) = (try reader.rows(recipe.data.path ?? ""), [TokenRow]())
    if let evaluation = recipe.data.evaluation {
      heldOut = try reader.rows(evaluation)
    } else if recipe.data.holdOut > 0 {
      (rows, heldOut) = try PreparedData.split(rows, recipe)
    }
    let untrained = rows.count { $0.trainedTokens == 0 }
    guard untrained < rows.count else {
      throw TrainingError(
        """
        nothing to train on: none of \(rows.count) rows of \(recipe.data.path ?? "") has a token with a label
        fix: check data.layout and method.sft.trainOn; labels of −100 are not trained on
        """)
    }
    if untrained > 0 { run.warn("\(untrained) of \(rows.count) rows have no token to train on") }
    self.heldOut = reader.packed(heldOut)
    let kept = rows
    self.rows = reader.packed(rows)
    hash = PreparedData.fingerprint(self.rows + self.heldOut, splitAt: self.rows.count)
    notes = PreparedData.notes(recipe, kept, self.rows, heldOut)
  }

  private static func split(_ rows: [TokenRow], _ recipe: Recipe) throws -> ([TokenRow], [TokenRow]) {
    let wanted = recipe.data.holdOut < 1 ? (recipe.data.holdOut * Double(rows.count)).rounded() : recipe.data.holdOut
    let count = max(1, Int(exactly: wanted.rounded()) ?? rows.count)
    guard count < rows.count else {
      throw TrainingError("data.holdOut: keeping back \(count) of \(rows.count) rows leaves nothing to train on\nfix: lower data.holdOut")
    }
    let order = shuffled(rows.count, Random(seed: UInt64(bitPattern: Int64(recipe.plan.seed)), stream: 0x686F_6C64))
    let chosen = Set(order.prefix(count))
    return (rows.indices.filter { !chosen.contains($0) }.map { rows[$0] }, rows.indices.filter(chosen.contains).map { rows[$0] })
  }

  /// - Throws: naming the first row with an id that the model does not know.
  func check(vocabulary: Int) throws {
    for (name, rows) in [("row", rows), ("held-out row", heldOut)] {
      for (index, row) in rows.enumerated() {
        guard let bad = (row.ids + row.labels.filter { $0 != -100 }).first(where: { $0 < 0 || Int($0) >= vocabulary }) else { continue }
        throw TrainingError(
          """
          \(name) \(index + 1) has the token id \(bad), the model knows 0 to \(vocabulary - 1)
          fix: use the tokenizer that belongs to the model
          """)
      }
    }
  }

  /// The largest number of tokens that go through the model together, and passes of the largest step.
  func largestPass(_ recipe: Recipe, isGPU: Bool) -> (tokens: Int, passes: Int) {
    let longest = (rows + heldOut).reduce(0) { max($0, $1.ids.count) }
    let limit = recipe.memory.tokensAtOnce(longest: longest, batchSize: recipe.plan.batchSize, isGPU: isGPU)
    let window = max(1, min(rows.count, recipe.plan.batchSize * recipe.plan.accumulation))
    let mean = rows.reduce(0) { $0 + $1.ids.count } / max(1, rows.count)
    let tokens = longest >= limit ? longest : min(limit, longest * window)
    return (tokens, max(1, (mean * window + tokens - 1) / max(1, tokens)))
  }

  /// The tokenizer that goes beside saved weights. One that cannot be written is found before the first step, not when there is something to save.
  private static func savable(_ tokenizer: String?, _ warn: (String) -> Void) -> String? {
    guard let tokenizer, GGUFFile.isAt(tokenizer) else { return tokenizer }
    do {
      _ = try Tokenizer.files(ofGGUF: tokenizer)
      return tokenizer
    } catch {
      warn("no tokenizer is saved beside the weights: \(error)")
      return nil
    }
  }

  /// Copies tokenizer and template beside saved weights.
  func copyTokenizer(to folder: String) throws {
    guard let tokenizerFolder, Files.isFolder(tokenizerFolder) || GGUFFile.isAt(tokenizerFolder) else { return }
    try CompanionFiles.copy(from: tokenizerFolder, to: folder)
  }

  private static func fingerprint(_ rows: [TokenRow], splitAt: Int) -> String {
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15 ^ UInt64(splitAt)
    func mix(_ value: Int) {
      state = (state ^ UInt64(bitPattern: Int64(value))) &* 0xD6E8_FEB8_6659_FD93
      state ^= state >> 32
    }
    for row in rows {
      mix(row.ids.count)
      row.lengths.forEach(mix)
      for index in row.ids.indices { mix(Int(row.ids[index]) << 32 ^ Int(row.labels[index]) & 0xFFFF_FFFF) }
    }
    let digits = String(state, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  private static func notes(_ recipe: Recipe, _ rows: [TokenRow], _ packed: [TokenRow], _ heldOut: [TokenRow]) -> [String] {
    let tokens = rows.reduce(0) { $0 + $1.ids.count }
    let trained = rows.reduce(0) { $0 + $1.trainedTokens }
    let longest = rows.reduce(0) { max($0, $1.ids.count) }
    var notes = [
      "\(recipe.data.path ?? "")  \(Text.grouped(rows.count)) rows  \(recipe.data.layout.rawValue)  longest \(Text.grouped(longest)) tokens"
        + (heldOut.isEmpty ? "" : "  \(Text.grouped(heldOut.count)) rows held out"),
      "\(Text.short(Double(trained))) of \(Text.short(Double(tokens))) tokens are trained",
    ]
    if packed.count != rows.count { notes.append("packed into \(Text.grouped(packed.count)) rows") }
    return notes
  }
}
