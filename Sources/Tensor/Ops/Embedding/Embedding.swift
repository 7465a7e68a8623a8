import SwiftletTensorCore

/// `y[t] = scale · (W[id] + s·B·A[:, id])`: rows of a table, with PEFT's embedding LoRA where given.
///
/// - Parameters:
///   - ids: int32 [tokens].
///   - weight: [vocabulary, dimension], float32, bfloat16 or float16.
///   - scale: a factor on the result (Gemma's √dimension).
///   - lora: A [rank, vocabulary], B [dimension, rank]; its dropout and magnitude are not used, as in PEFT.
/// - Returns: [tokens, dimension], float32.
/// - Precondition: every id lies in the vocabulary.
///
/// Saves the ids. Backward adds each token's gradient to its row, tokens in ascending order.
public func embedding(_ ids: Tensor, _ weight: Tensor, scale: Float = 1, lora: LoRAOperands? = nil) -> Tensor {
  precondition(weight.shape.rank == 2, "an embedding table [vocabulary, dimension] is wanted, not \(weight.shape)")
  let table = EmbeddingTable(weight: weight, a: lora?.a, b: lora?.b, loraScale: lora?.scale ?? 1, scale: scale)
  let (output, h) = table.forward(ids.elements(Int32.self))
  let inputs = [weight] + [lora?.a, lora?.b].compactMap { $0 }
  guard let tape = tape(of: [ids] + inputs) else { return output }
  let (hasLoRA, loraScale) = (lora != nil, table.loraScale)
  let saved = [ids] + inputs + [h].compactMap { $0 }
  return tape.record("embedding", inputs, saving: saved, outputs: [output]) { context in
    guard let gradient = context.take() else { return context.needs.map { _ in nil } }
    let saved = context.saved
    let table = EmbeddingTable(
      weight: saved[1], a: hasLoRA ? saved[2] : nil, b: hasLoRA ? saved[3] : nil, loraScale: loraScale, scale: scale)
    let targets = zip(saved[1...], context.needs).enumerated().map { index, pair -> Tensor? in
      guard pair.1 else { return nil }
      let (target, accumulate) = context.destination(index, pair.0.shape, part: .gradients)
      if !accumulate { target.floats.update(repeating: 0) }
      return target
    }
    table.backward(gradient, ids: saved[0].elements(Int32.self), h: hasLoRA ? saved[4] : nil, targets)
    return targets
  }[0]
}
