import SwiftletCheckpoints
import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore

extension LogitComparison {
  /// Tokens whose logits are written out together.
  private static let logitTokens = 256

  /// The answers of two models of one vocabulary on the same sequences of token ids, none empty.
  ///
  /// Memory beside the models: hidden states of all tokens. Of weights that are views of mapped files, one block and the heads lie in memory.
  init(_ reference: CausalLM, _ other: CausalLM, on rows: [[Int32]]) {
    self.init()
    let passes = [reference, other].map { PagedPass($0, rows) }
    let tokens = passes[0].output.shape[0]
    for start in stride(from: 0, to: tokens, by: Self.logitTokens) {
      let range = start..<min(tokens, start + Self.logitTokens)
      add(passes[0].logits(range), passes[1].logits(range))
    }
    passes.forEach { $0.releasePages() }
  }
}

/// A pass of a model that gives the pages of mapped files back behind itself.
private struct PagedPass {
  private let model: CausalLM
  private let context: ForwardContext
  /// [tokens, hidden], after the last norm.
  let output: Tensor

  init(_ model: CausalLM, _ rows: [[Int32]]) {
    self.model = model
    context = ForwardContext(lengths: rows.map(\.count))
    let blocks = Dictionary(grouping: model.parameters) { parameter in
      // model.layers.3.…
      parameter.name.split(separator: ".").dropFirst(2).first.flatMap { Int($0) } ?? -1
    }
    var x = model.embedded(ids: rows.flatMap(\.self), context)
    for block in 0..<model.layerCount {
      x = model.block(block, x, context)
      blocks[block]?.forEach { $0.releasePages() }
    }
    output = model.normalised(x)
  }

  func logits(_ rows: Range<Int>) -> Tensor { model.logits(hidden: output.rows(rows), context) }

  func releasePages() { model.parameters.forEach { $0.releasePages() } }
}
