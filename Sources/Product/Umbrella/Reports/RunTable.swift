import Foundation

/// One training run as `swiftlet runs` lists it.
public struct RunSummary: Sendable {
  /// The run's folder.
  public let path: String
  /// `finished`, `interrupted`, `failed`, or `unknown` where the run did not get to say.
  public let outcome: String
  /// The last step in `metrics.jsonl`.
  public let step: Int?
  /// The loss of that step.
  public let loss: Double?
  /// The last evaluation's loss.
  public let evaluationLoss: Double?
  /// Tokens per second of the last step.
  public let tokensPerSecond: Double?
  /// The most memory that a step reported, in bytes.
  public let peakBytes: Int?
  /// When `metrics.jsonl` was last written.
  public let modified: Date?

  /// Reads a run folder.
  public init(folder: String) {
    path = folder
    let record = RunSummary.json(folder + "/run.json")
    outcome = (record?["outcome"]?.string ?? record?["outcome"]?["name"]?.string) ?? "unknown"
    let metrics = RunSummary.lines(folder + "/metrics.jsonl")
    let steps = metrics.filter { $0["loss"] != nil }
    step = steps.last?["step"]?.int
    loss = steps.last?["loss"]?.double
    evaluationLoss = metrics.last { $0["eval_loss"] != nil }?["eval_loss"]?.double
    tokensPerSecond = steps.last?["tokens_per_second"]?.double
    peakBytes = steps.compactMap { $0["peak_memory_bytes"]?.int }.max()
    modified = (try? FileManager.default.attributesOfItem(atPath: folder + "/metrics.jsonl"))?[.modificationDate] as? Date
  }

  /// Whether a folder is a run: it holds a recipe and metrics.
  public static func isRun(_ folder: String) -> Bool {
    ["recipe.yaml", "metrics.jsonl"].allSatisfy { FileManager.default.fileExists(atPath: folder + "/" + $0) }
  }

  /// The runs below `folder`, newest first.
  public static func all(in folder: String) -> [RunSummary] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.map { folder + "/" + $0 }.filter(isRun).map(RunSummary.init)
      .sorted { ($0.modified ?? .distantPast, $1.path) > ($1.modified ?? .distantPast, $0.path) }
  }

  /// The row as `--json` prints it.
  public var json: JSON {
    .object(
      JSONObject([
        ("run", .string(path)), ("outcome", .string(outcome)), ("step", step.map(JSON.int) ?? .null),
        ("loss", loss.map(JSON.number) ?? .null),
        ("eval_loss", evaluationLoss.map(JSON.number) ?? .null), ("tokens_per_second", tokensPerSecond.map(JSON.number) ?? .null),
        ("peak_memory_bytes", peakBytes.map(JSON.int) ?? .null),
      ]))
  }

  /// The lines of a run's `metrics.jsonl`; lines that are no JSON, such as one being written, are left out.
  public static func lines(_ path: String) -> [JSON] {
    guard let data = FileManager.default.contents(atPath: path) else { return [] }
    return data.split(separator: UInt8(ascii: "\n")).compactMap { try? JSON(parsing: $0) }
  }

  private static func json(_ path: String) -> JSON? {
    FileManager.default.contents(atPath: path).flatMap { try? JSON(parsing: $0) }
  }
}
