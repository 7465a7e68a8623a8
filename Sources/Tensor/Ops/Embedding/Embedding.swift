import SwiftletTensorCore

/// `embedding` of a table of numbers.
///
/// - Parameter weight: [vocabulary, dimension], float32, bfloat16 or float16.
/// - Parameter dtype: the format of the result on a GPU; nil for the table's.
public func embedding(
  _ ids: Tensor, _ weight: Tensor, scale: Float = 1, lora: LoRAOperands? = nil, dtype: DType? = nil
) -> Tensor {
  precondition(weight.shape.rank == 2, "an embedding table [vocabulary, dimension] is wanted, not \(weight.shape)")
  return embedding(ids, .dense(weight), scale: scale, lora: lora, dtype: dtype ?? weight.dtype)
}

/// `y[t] = scale · (W[id] + s·B·A[:, id])`: rows of a table, with PEFT's embedding LoRA where given.
///
/// - Parameters:
///   - ids: int32 [tokens].
///   - weight: [vocabulary, dimension], float32, bfloat16 or float16; or quantised, then its rows are decoded as they are wanted. A GPU takes
///     blocks only.
///   - scale: a factor on the result (Gemma's √dimension).
///   - lora: A [rank, vocabulary], B [dimension, rank]; its dropout and magnitude are not used, as in PEFT.
///   - dtype: the format of the result on a GPU.
/// - Returns: [tokens, dimension], float32 on the CPU. It lies where the table or the ids lie on a GPU: there a table in host memory is read
///   over the bus, at its rate where it is pinned.
/// - Precondition: every id lies in the vocabulary.
///
/// Saves the ids. Backward adds each token's gradient to its row, tokens in ascending order.
public func embedding(
  _ ids: Tensor, _ weight: LinearWeight, scale: Float = 1, lora: LoRAOperands? = nil, dtype: DType = .float32
) -> Tensor {
  let table = EmbeddingTable(weight: weight, a: lora?.a, b: lora?.b, loraScale: lora?.scale ?? 1, scale: scale)
  if ids.device == .cpu { check(ids, vocabulary: table.vocabulary) }
  let onGPU = weight.device.isCUDA || ids.device.isCUDA
  let places = onGPU ? ids.moved(to: weight.device.isCUDA ? weight.device : ids.device) : ids
  let (output, h) = onGPU ? table.forwardOnGPU(places, dtype) : table.forward(ids.elements(Int32.self))
  let inputs = [weight.trained, lora?.a, lora?.b].compactMap { $0 }
  guard let tape = tape(of: [ids] + inputs) else { return output }
  let (frozen, loraScale) = (weight.quantized, table.loraScale)
  let saved = [places] + inputs + [h].compactMap { $0 }
  return tape.record("embedding", inputs, saving: saved, outputs: [output]) { context in
    guard let gradient = context.take() else { return context.needs.map { _ in nil } }
    var rest = context.saved.dropFirst()
    let weight = frozen.map(LinearWeight.quantized) ?? .dense(rest.removeFirst())
    let (a, b, h) = (rest.popFirst(), rest.popFirst(), rest.popFirst())
    let table = EmbeddingTable(weight: weight, a: a, b: b, loraScale: loraScale, scale: scale)
    let targets = context.needs.indices.map { context.sum($0, context.saved[1 + $0].shape, on: gradient.device) }
    // The places of [weight, a, b].
    let all = frozen == nil ? targets : [nil] + targets
    if gradient.device.isCUDA {
      table.backwardOnGPU(gradient, ids: context.saved[0], h: h, all)
    } else {
      table.backward(gradient, ids: context.saved[0].elements(Int32.self), h: h, all)
    }
    return targets
  }[0]
}

/// Refuses ids in host memory that no row belongs to.
func check(_ ids: Tensor, vocabulary: Int) {
  for id in ids.elements(Int32.self) {
    precondition(id >= 0 && id < vocabulary, "token id \(id) is outside of a vocabulary of \(vocabulary)")
  }
}
