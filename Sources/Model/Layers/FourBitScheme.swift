import SwiftletTensorCore

/// How the linear layers of a model with `dynamic4bit` are coded: which stay in 16 bits, and how much each input of the others weighs where the
/// scales of their blocks are searched.
public struct FourBitScheme: Hashable, Sendable {
  /// Paths of linear layers, or of what holds them, that stay in 16 bits.
  public var kept: Set<String>
  /// Of the matrix [out, in] of this name the mean square of each input [in]. A matrix that is not named is searched with all inputs alike.
  public var inputSquares: [String: [BFloat16]]

  /// What stays in 16 bits, and what is known of the inputs of the rest.
  public init(keeping kept: Set<String> = [], inputSquares: [String: [BFloat16]] = [:]) {
    (self.kept, self.inputSquares) = (kept, inputSquares)
  }

  /// Whether the linear layer at `path` stays in 16 bits.
  package func keeps(_ path: String) -> Bool { kept.contains { path == $0 || path.hasPrefix($0 + ".") } }
}
