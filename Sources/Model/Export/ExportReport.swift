import SwiftletCheckpoints
import SwiftletFormats

/// What an export wrote, and how far it is from the model in memory.
public struct ExportReport: Hashable, Sendable {
  /// The folder or file.
  public let path: String
  /// `adapter`, `merged`, `bnb-4bit`, `dynamic4bit`, `gguf` or `ollama`.
  public let format: String
  /// The type where one was chosen: `q4_k_m`, `bfloat16`, …
  public let type: String?
  /// Tensors written.
  public let tensors: Int
  /// Weights that the adapter has changed.
  public let changed: Int
  /// Largest |written − exact| over all elements of all tensors: the rounding of the format.
  public let largestTensorError: Float
  /// Answers of what was read back against those of the model in memory.
  public let comparison: LogitComparison
  /// What the user should know of the file.
  public let notes: [String]
  /// Of `dynamic4bit`: what stays in 16 bits, and why.
  public let choice: FourBitChoice?

  init(
    _ format: ModelExport.Format, path: String, tensors: Int, changed: Int, largestTensorError: Float, comparison: LogitComparison,
    notes: [String] = [], choice: FourBitChoice? = nil
  ) {
    (self.notes, self.choice) = (notes, choice)
    (self.path, self.format, type) = (path, format.name, format.type)
    (self.tensors, self.changed, self.largestTensorError, self.comparison) = (tensors, changed, largestTensorError, comparison)
  }

  /// The line as `--json` prints it.
  public var json: JSON {
    var object = JSONObject([
      ("path", .string(path)), ("format", .string(format)), ("type", type.map { .string($0) } ?? .null), ("tensors", .int(tensors)),
      ("changed", .int(changed)), ("max_tensor_error", .number(Double(largestTensorError))),
      ("max_logit_difference", .number(Double(comparison.largest))), ("mean_logit_difference", .number(comparison.mean)),
      ("kl", .number(comparison.meanDivergence)), ("greedy_agreement", .number(comparison.agreement)),
      ("tokens_compared", .int(comparison.tokens)),
    ])
    if let choice { object["dynamic"] = .object(choice.json) }
    if !notes.isEmpty { object["notes"] = .array(notes.map { .string($0) }) }
    return .object(object)
  }

  /// Two lines for people, one for a choice, and one a note.
  public var text: String {
    let lines = """
      \(path)  \(tensors) tensors, \(changed) changed by training
      read back: tensors differ by \(largestTensorError) at most, logits by \(comparison.largest) (KL \(comparison.meanDivergence)); \
      the likeliest token is the same in \(comparison.agreeing) of \(comparison.tokens) places
      """
    return lines + (choice.map { "\n\($0.summary)" } ?? "") + notes.map { "\nnote: \($0)" }.joined()
  }
}

extension ModelExport {
  /// What `write` returns.
  public typealias Report = ExportReport
}
