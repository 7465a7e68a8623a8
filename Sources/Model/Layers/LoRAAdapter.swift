import SwiftletOps
import SwiftletTensorCore

/// Low-rank matrices on top of a frozen weight: `scale · B A` (Hu et al., 2021), with a magnitude vector for DoRA (Liu et al., 2024).
public final class LoRAAdapter {
  /// `[rank, in]`; on an embedding `[rank, vocabulary]`.
  public let a: Parameter
  /// `[out, rank]`; on an embedding `[dimension, rank]`.
  public let b: Parameter
  /// DoRA's lengths of the weight's rows, `[out]`; nil for plain LoRA.
  public let magnitude: Parameter?
  /// The number alpha of the configuration.
  public let alpha: Double
  /// alpha / rank, or alpha / √rank for rsLoRA.
  public let scale: Float
  /// Probability with which an input of A is dropped in training.
  public let dropout: Float

  /// An adapter of trainable parameters.
  public init(a: Parameter, b: Parameter, magnitude: Parameter?, alpha: Double, scale: Float, dropout: Float) {
    self.a = a
    self.b = b
    self.magnitude = magnitude
    self.alpha = alpha
    self.scale = scale
    self.dropout = dropout
  }

  /// The rank.
  public var rank: Int { a.shape[0] }
  /// A, B and, for DoRA, the magnitude.
  public var parameters: [Parameter] { [a, b] + (magnitude.map { [$0] } ?? []) }

  func operands(on tape: Tape?, path: String, _ context: ForwardContext) -> LoRAOperands {
    LoRAOperands(
      a: a.tensor(on: tape), b: b.tensor(on: tape), scale: scale, dropout: context.dropout(dropout, path: path),
      magnitude: magnitude?.tensor(on: tape))
  }
}
