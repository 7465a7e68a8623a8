/// Why a checkpoint or adapter cannot be read or written: what was wanted, what was found, what to do.
public struct CheckpointError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The message.
  public let description: String
  /// An error about `path`.
  public init(_ path: String, _ message: String) { description = "\(path): \(message)" }
}

/// Tensors that do not fit together with a model, gathered so that one error lists them all.
struct TensorProblems {
  var missing: [String] = []
  var unexpected: [String] = []
  var mismatched: [String] = []

  var isEmpty: Bool { missing.isEmpty && unexpected.isEmpty && mismatched.isEmpty }

  /// Throws one error with at most twenty names of each kind.
  func check(_ path: String, _ advice: String) throws {
    guard !isEmpty else { return }
    let parts = [("missing", missing), ("unexpected", unexpected), ("of another shape or format", mismatched)]
    let text = parts.filter { !$0.1.isEmpty }.map { kind, names in
      let shown = names.sorted().prefix(20).joined(separator: ", ")
      return "\(names.count) tensors \(kind): \(shown)\(names.count > 20 ? ", …" : "")"
    }
    throw CheckpointError(path, text.joined(separator: "; ") + ". " + advice)
  }
}
