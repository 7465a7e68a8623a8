import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore

/// Which linear layers of a model in 4 bits stay in 16, and why: each was put into NF4 alone, and what that does to the model's answers is set
/// against the bytes that 16 bits cost. Divergences are mean Kullback–Leibler divergences of the next token, exact against coded, in nats.
public struct FourBitChoice: Hashable, Sendable {
  /// One linear layer, or all experts of a block.
  public struct Row: Hashable, Sendable {
    /// The path in Hugging Face files.
    public let module: String
    /// What stays in 16 bits together has the same: vLLM makes one layer of q, k and v, and of gate and up. Otherwise `module`.
    public let group: String
    /// Bytes that the file grows by where it stays in 16 bits.
    public let extraBytes: Int
    /// ‖y′ − y‖² / ‖y − x‖² of its block's output y and input x, y′ with this module in NF4.
    public let outputError: Double
    /// Of the whole model with this module alone in NF4.
    public let divergence: Double
    /// Whether it stays in 16 bits.
    public internal(set) var isKept: Bool
    /// What 16 bits save: nats a million bytes. A small matrix may cost nothing, as its codes need as many bytes for what describes them.
    public var savedPerMegabyte: Double { divergence / Double(max(extraBytes, 1)) * 1e6 }
  }

  /// All that could stay in 16 bits, that which saves most for its bytes first.
  public private(set) var rows: [Row]
  /// The mean square of each input of what was measured, by the weights' names: by it the scales of blocks are searched.
  let inputSquares: [String: [BFloat16]]
  /// Bytes of the model's tensors with all of them in NF4 as bitsandbytes codes it.
  public let plainBytes: Int
  /// Bytes that 16 bits may add.
  public let budgetBytes: Int
  /// Tokens that were measured on.
  public let tokens: Int
  /// On these tokens, with all of `rows` in NF4 as bitsandbytes codes it.
  public let plainDivergence: Double
  /// On these tokens, with what is kept in 16 bits and the rest as it is written.
  public internal(set) var divergence = 0.0
  /// On the tokens of an export's comparison, with what is kept in 16 bits and the rest as it is written; of none where nothing is exported.
  public internal(set) var comparison = LogitComparison()
  /// On the tokens of an export's comparison, with all of `rows` in NF4 as bitsandbytes codes it.
  public internal(set) var plainComparison = LogitComparison()

  /// Whether all that was measured are numbers.
  var isFinite: Bool { plainDivergence.isFinite && divergence.isFinite && rows.allSatisfy(\.divergence.isFinite) }
  /// Bytes that what is kept adds.
  public var spentBytes: Int { rows.reduce(0) { $0 + ($1.isKept ? $1.extraBytes : 0) } }
  /// Paths of what stays in 16 bits.
  public var kept: Set<String> { Set(rows.filter(\.isKept).map(\.module)) }
  /// What stays, and how the rest is coded.
  package var scheme: FourBitScheme { FourBitScheme(keeping: kept, inputSquares: inputSquares) }
  /// The same for files. Programs that skip layers by other names find these, too.
  package var coding: BitsAndBytesFile.Coding {
    BitsAndBytesFile.Coding(FourBitScheme(keeping: kept.union(rows.filter(\.isKept).map(\.group)), inputSquares: inputSquares))
  }

  /// Keeps greedily the group that saves most divergence a byte until the budget is spent; what does not fit is passed over, what saves nothing
  /// stays in NF4. Divergences of layers add up, as their errors know nothing of each other.
  init(
    rows: [Row], inputSquares: [String: [BFloat16]] = [:], plainBytes: Int, budget: Double, tokens: Int, plainDivergence: Double
  ) {
    (self.inputSquares, self.plainBytes, self.tokens, self.plainDivergence) = (inputSquares, plainBytes, tokens, plainDivergence)
    budgetBytes = Int(Double(plainBytes) * budget)
    let kept = Self.keptGroups(rows, budgetBytes)
    self.rows = Self.sorted(rows).map { row in
      var row = row
      row.isKept = kept.contains(row.group)
      return row
    }
  }

  private static func keptGroups(_ rows: [Row], _ budget: Int) -> Set<String> {
    var places: [String: Int] = [:]
    var groups: [Row] = []
    for row in rows {
      if let place = places[row.group] {
        groups[place] = groups[place].joined(with: row)
      } else {
        places[row.group] = groups.count
        groups.append(row)
      }
    }
    var (kept, left): (Set<String>, Int) = ([], budget)
    for group in sorted(groups) where group.extraBytes <= 0 || (group.divergence > 0 && group.extraBytes <= left) {
      kept.insert(group.group)
      left -= group.extraBytes
    }
    return kept
  }

  private static func sorted(_ rows: [Row]) -> [Row] {
    rows.enumerated().sorted { a, b in
      (b.element.savedPerMegabyte, a.offset) < (a.element.savedPerMegabyte, b.offset)
    }.map(\.element)
  }

  /// One line for people.
  public var summary: String {
    let share = (Double(spentBytes) / Double(max(plainBytes, 1)) * 1000).rounded() / 10
    let compared =
      comparison.tokens > 0 ? "KL \(comparison.meanDivergence) where plain NF4 has \(plainComparison.meanDivergence); " : ""
    return "\(rows.count(where: \.isKept)) of \(rows.count) modules stay in 16 bits for \(share) % more bytes: \(compared)"
      + "on the \(tokens) tokens of the choice KL \(divergence) where plain NF4 has \(plainDivergence)"
  }

  /// What `--json` says, and `dynamic4bit.json` beside the weights.
  public var json: JSONObject {
    var object = JSONObject([
      ("plain_bytes", .int(plainBytes)), ("budget_bytes", .int(budgetBytes)), ("spent_bytes", .int(spentBytes)),
      ("calibration_tokens", .int(tokens)), ("calibration_kl_plain", .number(plainDivergence)), ("calibration_kl", .number(divergence)),
    ])
    if comparison.tokens > 0 {
      object["kl"] = .number(comparison.meanDivergence)
      object["kl_plain"] = .number(plainComparison.meanDivergence)
    }
    object["modules"] = .array(rows.map(\.json))
    return object
  }
}

extension FourBitChoice.Row {
  fileprivate var json: JSON {
    .object(
      JSONObject([
        ("module", .string(module)), ("group", .string(group)), ("extra_bytes", .int(extraBytes)), ("output_error", .number(outputError)),
        ("kl", .number(divergence)), ("kl_per_megabyte", .number(savedPerMegabyte)), ("kept", .bool(isKept)),
      ]))
  }

  /// Both together, under the first one's names.
  fileprivate func joined(with other: Self) -> Self {
    Self(
      module: module, group: group, extraBytes: extraBytes + other.extraBytes, outputError: outputError + other.outputError,
      divergence: divergence + other.divergence, isKept: isKept)
  }
}

extension FourBitChoice {
  /// Measures every linear layer of a model and chooses.
  /// - Parameters:
  ///   - rows: sequences of token ids to measure on, none empty.
  ///   - budget: bytes that 16 bits may add, as a share of the plain 4-bit model's.
  package init(_ network: CausalLM, _ options: ModelFile.Options, measuringOn rows: [[Int32]], budget: Double) throws {
    let plain = try FourBitStreams(network, options, .init())
    let squares = try plain.inputSquares(on: rows)
    let searched = try FourBitStreams(network, options, .init(FourBitScheme(inputSquares: squares)))
    let units = searched.units
    let movements = try searched.movements(units.indices.map { [$0] }, on: rows)
    let measured = zip(units, movements).map { unit, movement in
      Row(
        module: unit.name, group: unit.group, extraBytes: unit.extraBytes, outputError: movement.outputError,
        divergence: movement.answers.meanDivergence,
        isKept: false)
    }
    let before = try plain.movements([Set(units.indices)], on: rows)[0].answers
    self.init(
      rows: measured, inputSquares: squares, plainBytes: try BitsAndBytesFile.plainByteCount(network, options), budget: budget,
      tokens: before.tokens,
      plainDivergence: before.meanDivergence)
    divergence = try searched.movements([searched.coded(self)], on: rows)[0].answers.meanDivergence
  }

  /// Says what it does to the answers on other tokens, for `comparison` and `plainComparison`.
  package mutating func compare(_ network: CausalLM, _ options: ModelFile.Options, on samples: [[Int32]]) throws {
    let plain = try FourBitStreams(network, options, .init())
    let searched = try FourBitStreams(network, options, .init(FourBitScheme(inputSquares: inputSquares)))
    comparison = try searched.movements([searched.coded(self)], on: samples)[0].answers
    plainComparison = try plain.movements([Set(plain.units.indices)], on: samples)[0].answers
  }

  /// - Throws: for a budget that is no share.
  package static func check(budget: Double) throws {
    guard budget.isFinite, budget >= 0, budget <= 10 else {
      throw CheckpointError("budget", "a share of the 4-bit model's bytes, such as 0.1, is wanted, found \(budget)")
    }
  }
}

extension FourBitStreams {
  /// A model's linear layers, all as `coding` codes them.
  fileprivate init(_ network: CausalLM, _ options: ModelFile.Options, _ coding: BitsAndBytesFile.Coding) throws {
    self.init(network: network, units: try FourBitUnit.all(BitsAndBytesFile.linears(network, options, coding)))
  }

  /// The units that a choice leaves in 4 bits.
  fileprivate func coded(_ choice: FourBitChoice) -> Set<Int> {
    let kept = choice.kept
    return Set(units.indices.filter { !kept.contains(units[$0].name) })
  }
}
