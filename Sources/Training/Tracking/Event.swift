import SwiftletFormats

/// What one optimizer step did.
public struct StepMetrics: Hashable, Sendable {
  /// Number of the step, from 1.
  public var step: Int
  /// Steps of the whole run.
  public var totalSteps: Int
  /// Passes over the data so far, with fraction.
  public var epoch: Double
  /// Mean loss over the trained tokens of the step's whole accumulation window, before the update. NaN where the step was skipped for it.
  public var loss: Double
  /// The rate that the step used.
  public var learningRate: Double
  /// L2 norm of all gradients before clipping.
  public var gradientNorm: Double
  /// Tokens that went through the model in this step.
  public var tokens: Int
  /// Tokens of the step that the loss counts.
  public var trainedTokens: Int
  /// `tokens` by the step's wall time.
  public var tokensPerSecond: Double
  /// Highest bytes of tensor memory since the start of the run.
  public var peakMemoryBytes: Int
  /// Whether the update was left out because loss or gradient was not a finite number.
  public var skipped: Bool

  /// All figures of a step.
  public init(
    step: Int, totalSteps: Int, epoch: Double, loss: Double, learningRate: Double, gradientNorm: Double, tokens: Int, trainedTokens: Int,
    tokensPerSecond: Double, peakMemoryBytes: Int, skipped: Bool = false
  ) {
    self.step = step
    self.totalSteps = totalSteps
    self.epoch = epoch
    self.loss = loss
    self.learningRate = learningRate
    self.gradientNorm = gradientNorm
    self.tokens = tokens
    self.trainedTokens = trainedTokens
    self.tokensPerSecond = tokensPerSecond
    self.peakMemoryBytes = peakMemoryBytes
    self.skipped = skipped
  }

  /// The line of `metrics.jsonl`: `step epoch loss learning_rate grad_norm tokens trained_tokens tokens_per_second peak_memory_bytes`, and
  /// `skipped` where true. Numbers that are not finite become null.
  public var json: JSONObject {
    var line = JSONObject([
      ("step", .int(step)), ("epoch", .number(epoch)), ("loss", .number(loss)), ("learning_rate", .number(learningRate)),
      ("grad_norm", .number(gradientNorm)), ("tokens", .int(tokens)), ("trained_tokens", .int(trainedTokens)),
      ("tokens_per_second", .number(tokensPerSecond)), ("peak_memory_bytes", .int(peakMemoryBytes)),
    ])
    if skipped { line["skipped"] = .bool(true) }
    return line
  }
}

/// The loss on rows that are not trained on.
public struct EvaluationMetrics: Hashable, Sendable {
  /// Steps done before the evaluation.
  public var step: Int
  /// Passes over the training data so far.
  public var epoch: Double
  /// Mean loss over the trained tokens of the held-out rows.
  public var loss: Double
  /// Rows that were evaluated.
  public var rows: Int
  /// Their trained tokens.
  public var trainedTokens: Int

  /// All figures of an evaluation.
  public init(step: Int, epoch: Double, loss: Double, rows: Int, trainedTokens: Int) {
    self.step = step
    self.epoch = epoch
    self.loss = loss
    self.rows = rows
    self.trainedTokens = trainedTokens
  }

  /// The line of `metrics.jsonl`: `step epoch eval_loss eval_rows eval_tokens`.
  public var json: JSONObject {
    JSONObject([
      ("step", .int(step)), ("epoch", .number(epoch)), ("eval_loss", .number(loss)), ("eval_rows", .int(rows)),
      ("eval_tokens", .int(trainedTokens)),
    ])
  }
}

/// How a run ended.
public enum Outcome: Hashable, Sendable {
  case finished
  /// By a signal, after a resumable checkpoint.
  case interrupted
  /// With the error's text.
  case failed(String)

  /// `finished`, `interrupted` or `failed`.
  public var name: String {
    switch self {
    case .finished: "finished"
    case .interrupted: "interrupted"
    case .failed: "failed"
    }
  }
}

/// What a training run tells about itself, in order.
public enum Event: Hashable, Sendable {
  /// A heading before step 1 (`data`, `plan`, `run`) and its text.
  case note(String, String)
  case step(StepMetrics)
  case evaluation(EvaluationMetrics)
  /// A checkpoint is complete, verified and in place.
  case checkpoint(step: Int, path: String)
  /// An export is complete, read back and in place: what it is in words, and in figures.
  case exported(String, JSONObject)
  /// Something went wrong that does not stop the run.
  case warning(String)
  case ended(Outcome, step: Int, path: String)

  /// The event as `--json` prints it: an object whose `event` names the kind.
  public var json: JSON {
    switch self {
    case .note(let heading, let text): Event.object("note", [("heading", .string(heading)), ("text", .string(text))])
    case .step(let metrics):
      Event.object("step", Array(metrics.json.map { ($0.key, $0.value) }) + [("total_steps", .int(metrics.totalSteps))])
    case .evaluation(let metrics): Event.object("evaluation", metrics.json.map { ($0.key, $0.value) })
    case .checkpoint(let step, let path): Event.object("checkpoint", [("step", .int(step)), ("path", .string(path))])
    case .exported(_, let report): Event.object("exported", report.map { ($0.key, $0.value) })
    case .warning(let text): Event.object("warning", [("text", .string(text))])
    case .ended(let outcome, let step, let path):
      Event.object("ended", [("outcome", .string(outcome.name)), ("step", .int(step)), ("path", .string(path))])
    }
  }

  private static func object(_ name: String, _ pairs: [(String, JSON)]) -> JSON {
    .object(JSONObject([("event", .string(name))] + pairs))
  }
}
