import SwiftletFormats

/// What an export wrote, and how far it is from the model in memory.
public struct ExportReport: Sendable {
  /// The folder.
  public let path: String
  /// `adapter`, `merged`, `gguf` or `ollama`.
  public let format: String
  /// Tensors written.
  public let tensors: Int
  /// Weights that the adapter has changed.
  public let changed: Int
  /// Largest |written − exact| over all elements of all tensors: the rounding of the format.
  public let largestTensorError: Float
  /// Answers of what was read back against those of the model in memory.
  public let comparison: LogitComparison

  /// The line as `--json` prints it.
  public var json: JSON {
    .object(
      JSONObject([
        ("path", .string(path)), ("format", .string(format)), ("tensors", .int(tensors)), ("changed", .int(changed)),
        ("max_tensor_error", .number(Double(largestTensorError))), ("max_logit_difference", .number(Double(comparison.largest))),
        ("mean_logit_difference", .number(comparison.mean)), ("kl", .number(comparison.meanDivergence)),
        ("greedy_agreement", .number(comparison.agreement)), ("tokens_compared", .int(comparison.tokens)),
      ]))
  }
}

extension ModelExport {
  /// What `write` returns.
  public typealias Report = ExportReport
}
