import SwiftletCPU
import SwiftletFormats
import SwiftletOptimizers
import SwiftletTracking

/// `trainer_state.json` of a checkpoint: the keys of Hugging Face's trainer, and under `swiftlet` what the next step depends on besides
/// weights and moments. Random numbers come from counters keyed by seed and step, so the step is their whole state; the same holds for the
/// place in the data.
struct CheckpointState: Hashable {
  static let fileName = "trainer_state.json"
  var loop: LoopState
  var epoch: Double
  var totalSteps: Int
  var seed: Int
  /// Fingerprint of the rows.
  var dataHash: String
  /// The last line of `metrics.jsonl`.
  var lastMetrics: StepMetrics?

  var json: JSON {
    var history: [JSON] = []
    if let metrics = lastMetrics {
      history = [
        .object(
          JSONObject([
            ("loss", .number(metrics.loss)), ("grad_norm", .number(metrics.gradientNorm)), ("learning_rate", .number(metrics.learningRate)),
            ("epoch", .number(metrics.epoch)), ("step", .int(metrics.step)),
          ]))
      ]
    }
    var own = JSONObject([
      ("version", .int(1)), ("updates", .int(loop.updates)), ("skipped", .int(loop.skipped)), ("skipped_in_row", .int(loop.skippedInRow)),
      ("tokens", .int(loop.tokens)), ("seed", .int(seed)), ("data_hash", .string(dataHash)),
    ])
    if let scaling = loop.lossScaling {
      own["loss_scaling"] = .object(JSONObject([("scale", .number(Double(scaling.scale))), ("good_steps", .int(scaling.goodSteps))]))
    }
    return .object(
      JSONObject([
        ("global_step", .int(loop.step)), ("epoch", .number(epoch)), ("max_steps", .int(totalSteps)),
        ("num_train_epochs", .int(Int(epoch.rounded(.up)))), ("total_flos", .int(0)), ("log_history", .array(history)),
        ("best_metric", .null), ("best_model_checkpoint", .null), ("is_local_process_zero", .bool(true)),
        ("is_world_process_zero", .bool(true)), ("swiftlet", .object(own)),
      ]))
  }

  init(loop: LoopState, epoch: Double, totalSteps: Int, seed: Int, dataHash: String, lastMetrics: StepMetrics?) {
    self.loop = loop
    self.epoch = epoch
    self.totalSteps = totalSteps
    self.seed = seed
    self.dataHash = dataHash
    self.lastMetrics = lastMetrics
  }

  /// - Throws: `CheckpointDamage` naming the key that is missing.
  init(folder: String) throws {
    let json = try JSON(parsing: Files.read(folder + "/" + CheckpointState.fileName))
    func number(_ value: JSON?, _ key: String) throws -> Int {
      guard let number = value?.int, number >= 0 else {
        throw CheckpointDamage(path: folder, reason: "\(CheckpointState.fileName) lacks the number \(key)")
      }
      return number
    }
    let own = json["swiftlet"]
    loop = LoopState(
      step: try number(json["global_step"], "global_step"), updates: try number(own?["updates"], "swiftlet.updates"),
      skipped: try number(own?["skipped"], "swiftlet.skipped"),
      skippedInRow: try number(own?["skipped_in_row"], "swiftlet.skipped_in_row"), tokens: try number(own?["tokens"], "swiftlet.tokens"))
    loop.lossScaling = try own?["loss_scaling"].map { stored in
      let (scale, steps) = (stored["scale"]?.double ?? 0, try number(stored["good_steps"], "swiftlet.loss_scaling.good_steps"))
      guard (1...0x1p24).contains(scale), steps <= Int(UInt32.max) else {
        throw CheckpointDamage(path: folder, reason: "\(CheckpointState.fileName): swiftlet.loss_scaling.scale \(scale) makes no sense")
      }
      return LossScaling(scale: Float(scale), goodSteps: steps)
    }
    epoch = json["epoch"]?.double ?? 0
    totalSteps = try number(json["max_steps"], "max_steps")
    seed = try number(own?["seed"], "swiftlet.seed")
    dataHash = own?["data_hash"]?.string ?? ""
    lastMetrics = nil
  }
}
