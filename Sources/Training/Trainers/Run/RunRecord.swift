import Foundation
import SwiftletCPU
import SwiftletFormats
import SwiftletTracking

/// `run.json`: what made the run, and how it ended.
struct RunRecord {
  var version: String
  var recipe: Recipe
  var dataHash: String
  var rows: Int
  var heldOutRows: Int
  var started: String
  var resumedFrom: [Int] = []
  var ended: String?
  var state = LoopState()
  var totalSteps: Int
  /// Nil while running.
  var outcome: Outcome?
  var finalLoss: Double?
  var evaluationLoss: Double?
  /// Token ids of a few rows.
  var samples: [[Int32]] = []
  /// What was exported, each as `swiftlet export --json` tells it.
  var exports: [JSON] = []

  /// The present time in UTC, ISO 8601.
  static var now: String { Date().formatted(.iso8601) }

  var json: JSON {
    var object = JSONObject([
      ("swiftlet", .string(version)), ("swift", .string(RunRecord.swiftVersion)),
      (
        "device",
        .object(
          JSONObject([
            ("kind", .string("cpu")), ("name", .string(CPUInfo.modelName)), ("instructions", .string("\(CPUInfo.isa)")),
            ("threads", .int(Parallel.threads)), ("memory_bytes", .int(ProcessMemory.totalBytes)),
          ]))
      ),
      ("seed", .int(recipe.plan.seed)), ("data_hash", .string(dataHash)), ("rows", .int(rows)), ("held_out_rows", .int(heldOutRows)),
      ("started", .string(started)), ("resumed_from_steps", .array(resumedFrom.map { .int($0) })),
      ("ended", ended.map { .string($0) } ?? .null),
      ("steps", .int(state.step)), ("total_steps", .int(totalSteps)), ("skipped_steps", .int(state.skipped)),
      ("tokens", .int(state.tokens)),
      ("outcome", .string(outcome?.name ?? "running")),
    ])
    if let finalLoss { object["loss"] = .number(finalLoss) }
    if let evaluationLoss { object["eval_loss"] = .number(evaluationLoss) }
    if !samples.isEmpty { object[RunSamples.key] = RunSamples.json(samples) }
    if !exports.isEmpty { object["exports"] = .array(exports) }
    if case .failed(let reason) = outcome { object["error"] = .string(reason) }
    return .object(object)
  }

  private static var swiftVersion: String {
    #if swift(>=6.3)
      "6.3"
    #else
      "6.2"
    #endif
  }

  func write(to folder: RunFolder) throws {
    try AtomicFile.write(folder.file("run.json"), bytes: (json.serialized(indent: 2) + "\n").utf8)
  }
}
