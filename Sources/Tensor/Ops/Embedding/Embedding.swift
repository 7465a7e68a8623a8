import SwiftletTensorCore

/// `y[t] = scale · (W[id] + s·B·A[:, id])`: rows of a table, with PEFT's embedding LoRA where given.
///
/// - Parameters:
///   - ids: int32 [tokens].
///   - weight: [vocabulary, dimension], float32, bfloat16 or float16.
///   - scale: a factor on the result (Gemma's √dimension).
///   - lora: A [rank, vocabulary], B [dimension, rank]; its dropout and magnitude are not used, as in PEFT.
///   - dtype: the format of the result on a GPU; nil for the table's.
/// - Returns: [tokens, dimension], float32 on the CPU. It lies where the table or the ids lie on a GPU: there a table in host memory is read
///   over the bus, at its rate where it is pinned.
/// - Precondition: every id lies in the vocabulary.
///
/// Saves the ids. Backward adds each token's gradient to its row, tokens in ascending order.
public func embedding(
  _ ids: Tensor, _ weight: Tensor, scale: Float = 1, lora: LoRAOperands? = nil, dtype: DType? = nil
) -> Tensor {
  precondition(weight.shape.rank == 2, "an embedding table [vocabulary, dimension] is wanted, not \(weight.shape)")
  let table = EmbeddingTable(weight: weight, a: lora?.a, b: lora?.b, loraScale: lora?.scale ?? 1, scale: scale)
  if ids.device == .cpu { check(ids, vocabulary: table.vocabulary) }
  let onGPU = weight.device.isCUDA || ids.device.isCUDA
  let places = onGPU ? ids.moved(to: weight.device.isCUDA ? weight.device : ids.device) : ids
  let (output, h) = onGPU ? table.forwardOnGPU(places, dtype ?? weight.dtype) : table.forward(ids.elements(Int32.self))
  let inputs = [weight] + [lora?.a, lora?.b].compactMap { $0 }
  guard let tape = tape(of: [ids] + inputs) else { return output }
  let (hasLoRA, loraScale) = (lora != nil, table.loraScale)
  let saved = [places] + inputs + [h].compactMap { $0 }
  return tape.record("embedding", inputs, saving: saved, outputs: [output]) { context in
    guard let gradient = context.take() else { return context.needs.map { _ in nil } }
    let saved = context.saved
    let table = EmbeddingTable(
      weight: saved[1], a: hasLoRA ? saved[2] : nil, b: hasLoRA ? saved[3] : nil, loraScale: loraScale, scale: scale)
    let targets = zip(saved[1...], context.needs).enumerated().map { index, pair -> Tensor? in
      guard pair.1 else { return nil }
      let (target, accumulate) = context.destination(index, pair.0.shape, part: .gradients, on: gradient.device)
      if !accumulate { target.fillZero() }
      return target
    }
    if gradient.device.isCUDA {
      table.backwardOnGPU(gradient, ids: saved[0], h: hasLoRA ? saved[4] : nil, targets)
      return targets
    }
    table.backward(gradient, ids: saved[0].elements(Int32.self), h: hasLoRA ? saved[4] : nil, targets)
    return targets
  }[0]
}

/// The rows of a frozen table that lies quantised in host memory, decoded as they are wanted: [tokens, dimension], float32. Otherwise as above.
public func embedding(_ ids: Tensor, _ table: QuantizedMatrix, scale: Float = 1) -> Tensor {
  check(ids, vocabulary: table.outputs)
  let output = Tensor(uninitialized: [ids.count, table.inputs])
  for (row, id) in ids.elements(Int32.self).enumerated() {
    table.dequantize(rows: Int(id)..<Int(id) + 1, into: output.rows(row..<row + 1))
  }
  if scale != 1 { for i in 0..<output.count { output.floats[i] *= scale } }
  // No gradient, but what follows stands on the tape of the ids.
  return tape(of: ids)?.carry(output) ?? output
}

private func check(_ ids: Tensor, vocabulary: Int) {
  for id in ids.elements(Int32.self) {
    precondition(id >= 0 && id < vocabulary, "token id \(id) is outside of a vocabulary of \(vocabulary)")
  }
}
