import SwiftletOps
import SwiftletTensorCore

/// A table of vectors, one per token, times a constant.
public final class Embedding: Module {
  /// The path in Hugging Face files.
  public let path: String
  /// `[vocabulary, dimension]`.
  public private(set) var weight: Parameter
  /// What each vector is multiplied by (Gemma: √dimension).
  public let scale: Float
  /// LoRA with A `[rank, vocabulary]`, B `[dimension, rank]`; nil for none.
  public var adapter: LoRAAdapter?

  init(path: String, weight: Parameter, scale: Float) {
    self.path = path
    self.weight = weight
    self.scale = scale
  }

  /// The table.
  public var parameters: [Parameter] { [weight] }

  /// Puts another table in the place of this one.
  public func replace(_ old: Parameter, with new: Parameter) { if weight === old { weight = new } }

  /// int32 ids `[tokens]` to `[tokens, dimension]`.
  /// - Precondition: every id is in `0 ..< vocabulary`.
  public func callAsFunction(_ ids: Tensor, _ context: ForwardContext) -> Tensor {
    let tape = ids.trace?.tape
    let lora = context.usesAdapters ? adapter?.operands(on: tape, path: path, context) : nil
    let rows = embedding(ids, weight.weight(on: tape), scale: scale, lora: lora, dtype: context.computeType)
    guard let magnitude = lora?.magnitude, let adapter else { return rows }
    return scaleColumns(rows, scaleColumns(magnitude.reshaped([1, magnitude.count]), inverseLengths(adapter)))
  }

  /// 1 / length of each column of the adapted table. DoRA takes the lengths for constants, so they carry no gradient.
  private func inverseLengths(_ adapter: LoRAAdapter) -> Tensor {
    let lengths = LoRAAdapter.rowLengths(adapter.sum(weight.hostValue, isEmbedding: true), ofColumns: true)
    return Tensor(lengths.array(Float.self).map { 1 / $0 }, lengths.shape)
  }
}
