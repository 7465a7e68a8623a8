import Foundation
import SwiftletTracking

/// What `swiftlet runs` prints: a table of runs, or of the steps of one.
public struct RunReport {
  /// The lines for `--json`.
  public let rows: [JSON]
  /// The table.
  public let text: String

  /// The runs below a folder, newest first.
  /// - Throws: `Failure` where there is no such folder.
  public init(folder: String) throws {
    guard FileManager.default.fileExists(atPath: folder) else {
      throw Failure("no runs", at: folder, why: "there is no such folder", fix: "train something, or name a folder with --in")
    }
    let runs = RunSummary.all(in: folder)
    rows = runs.map(\.json)
    var table = Table(["run", "outcome", "step", "loss", "eval loss", "tok/s", "peak"])
    for run in runs {
      table.add([
        run.path, run.outcome, run.step.map(Text.grouped) ?? "–", RunReport.number(run.loss), RunReport.number(run.evaluationLoss),
        run.tokensPerSecond.map(Text.short) ?? "–", run.peakBytes.map(Text.bytes) ?? "–",
      ])
    }
    text = table.text
  }

  /// The steps of a run, oldest first; the table shows about twenty of them, evenly spread.
  /// - Throws: `Failure` where the folder is no run.
  public init(run: String) throws {
    guard RunSummary.isRun(run) else {
      throw Failure(
        "not a run folder", at: run, why: "recipe.yaml and metrics.jsonl are wanted in it", fix: "see the runs with: swiftlet runs")
    }
    let summary = RunSummary(folder: run)
    rows = RunSummary.lines(run + "/metrics.jsonl")
    let stride = max(1, (rows.count + 19) / 20)
    var table = Table(["step", "epoch", "loss", "eval loss", "lr", "grad norm", "tok/s", "peak"])
    for (index, row) in rows.enumerated() where index % stride == 0 || index == rows.count - 1 || row["eval_loss"] != nil {
      table.add([
        row["step"]?.int.map(Text.grouped) ?? "–", row["epoch"]?.double.map { Text.fixed($0, 2) } ?? "–",
        RunReport.number(row["loss"]?.double), RunReport.number(row["eval_loss"]?.double),
        row["learning_rate"]?.double.map(Text.scientific) ?? "–", row["grad_norm"]?.double.map { Text.fixed($0, 2) } ?? "–",
        row["tokens_per_second"]?.double.map(Text.short) ?? "–", row["peak_memory_bytes"]?.int.map(Text.bytes) ?? "–",
      ])
    }
    text = "\(run)  \(summary.outcome)\n" + table.text
  }

  private static func number(_ value: Double?) -> String { value.map { Text.fixed($0, 4) } ?? "–" }
}
