import SwiftletTensorCore

/// What attention needs to know besides its tensors.
public struct AttentionOptions: Sendable, Hashable {
  /// Query heads.
  public var heads: Int
  /// Key and value heads; divides `heads` (grouped-query attention: query head `h` reads key head `h / (heads / keyValueHeads)`).
  public var keyValueHeads: Int
  /// Features of a query and key head.
  public var headDimension: Int
  /// Factor on the dot products, usually 1/√headDimension.
  public var scale: Float
  /// Whether a query sees only keys up to its own position.
  public var causal: Bool
  /// Number of newest keys that a query sees, its own included; nil for all. Only with `causal`.
  public var window: Int?
  /// `c·tanh(score / c)` on the scaled dot products (Gemma 2).
  public var softCap: Float?
  /// Features of a value head where they differ from `headDimension`.
  public var valueDimension: Int?

  /// - Precondition: `keyValueHeads` divides `heads`; a window is positive and causal.
  public init(
    heads: Int, keyValueHeads: Int, headDimension: Int, scale: Float, causal: Bool = true, window: Int? = nil, softCap: Float? = nil,
    valueDimension: Int? = nil
  ) {
    precondition(keyValueHeads > 0 && heads % keyValueHeads == 0, "\(keyValueHeads) key heads do not divide \(heads) query heads")
    precondition(window.map { $0 > 0 && causal } ?? true, "an attention window is positive and causal, not \(window ?? 0)")
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.headDimension = headDimension
    self.scale = scale
    self.causal = causal
    self.window = window
    self.softCap = softCap
    self.valueDimension = valueDimension
  }

  var values: Int { valueDimension ?? headDimension }
  var group: Int { heads / keyValueHeads }

  /// The keys that the query at key position `position` sees, of `keys`.
  func visible(_ position: Int, keys: Int) -> Range<Int> {
    guard causal else { return 0..<keys }
    let first = window.map { max(0, position - $0 + 1) } ?? 0
    return first..<position + 1
  }
}

/// `softmax(scale · q·kᵀ)·v` per head over packed sequences (Vaswani et al., 2017), blockwise (Dao et al., 2022): scores never stand in
/// memory whole.
///
/// - Parameters:
///   - q: [query tokens, heads · headDimension], float32 on the CPU; on a GPU float32, bf16 or fp16, and k, v and the result alike.
///   - k: [key tokens, keyValueHeads · headDimension]; `v`: [key tokens, keyValueHeads · valueDimension].
///   - sinks: [heads], a further logit per head that takes part in the softmax and has no value (gpt-oss).
///   - layout: where sequences begin; no query sees another sequence.
/// - Returns: [query tokens, heads · valueDimension].
///
/// Saves inputs, output and the log-sum of exponentials per query and head. Backward, with P the probabilities and D = Σ dy·y per row:
/// dS = P·(dy·vᵀ − D), dq = scale·dS·k, dk = scale·dSᵀ·q, dv = Pᵀ·dy, dsink = −Σ P_sink·D. A query's bits do not depend on what
/// stands beside it.
public func attention(
  _ q: Tensor, _ k: Tensor, _ v: Tensor, sinks: Tensor? = nil, layout: SequenceLayout, _ options: AttentionOptions
) -> Tensor {
  check(q, k, v, sinks, layout, options)
  let plan = AttentionPlan(options: options, layout: layout)
  let (output, logSums) = q.device == .cpu ? plan.forward(q, k, v, sinks) : CUDAAttention(plan, like: q).forward(q, k, v, sinks)
  let inputs = [q, k, v] + [sinks].compactMap { $0 }
  guard let tape = tape(of: inputs) else { return output }
  let hasSinks = sinks != nil
  return tape.record("attention", inputs, saving: inputs + [output, logSums], outputs: [output]) { context in
    guard let gradient = context.take() else { return context.needs.map { _ in nil } }
    let gradients: [Tensor]
    if gradient.device.isCUDA {
      let onGPU = CUDAAttention(plan, like: gradient)
      gradients = onGPU.backward(CUDAAttention.Saved(&context, consume gradient, hasSinks: hasSinks))
    } else {
      let saved = context.saved
      gradients = plan.backward(
        q: saved[0], k: saved[1], v: saved[2], sinks: hasSinks ? saved[3].float32 : nil, output: saved[saved.count - 2],
        logSums: saved[saved.count - 1], gradient: gradient)
    }
    return zip(gradients, context.needs).map { $1 ? $0 : nil }
  }[0]
}

/// `attention` off tape over keys and values that each sequence keeps for itself (a cache): the same bits.
///
/// - Parameters:
///   - q: [query tokens, heads · headDimension] of all sequences.
///   - keys: for each sequence [its keys, keyValueHeads · headDimension]; the last key belongs to its last query. `values` alike.
///   - queryStarts: the first query row of each sequence, and at the end the number of query rows.
public func cachedAttention(
  _ q: Tensor, keys: [Tensor], values: [Tensor], sinks: Tensor? = nil, queryStarts: [Int], _ options: AttentionOptions
) -> Tensor {
  precondition(
    keys.count == values.count && queryStarts.count == keys.count + 1, "\(keys.count) keys, \(values.count) values, \(queryStarts)")
  var keyStarts = [0]
  for key in keys { keyStarts.append(keyStarts[keyStarts.count - 1] + key.shape.rows) }
  let layout = SequenceLayout(queryStarts: queryStarts, keyStarts: keyStarts)
  for (k, v) in zip(keys, values) { checkWidths(q, k, v, sinks, options) }
  checkLengths(q, layout, options)
  if q.device.isCUDA {
    let plan = AttentionPlan(options: options, layout: layout)
    let output = CUDAAttention(cached: plan, like: q).cached(q, keys, values, sinks)
    return tape(of: q).map { $0.carry(output) } ?? output
  }
  let output = Tensor(uninitialized: [q.shape.rows, options.heads * options.values])
  let logSums = Tensor(uninitialized: [q.shape.rows, options.heads], part: .workspace)
  let slices = zip(keys, values).map { AttentionSlice(keys: $0.pointer, values: $1.pointer) }
  AttentionPlan(options: options, layout: layout).forward(q.pointer, slices, sinks?.float32, into: output.pointer, logSums.pointer)
  return tape(of: q).map { $0.carry(output) } ?? output
}

private func check(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ sinks: Tensor?, _ layout: SequenceLayout, _ options: AttentionOptions) {
  checkWidths(q, k, v, sinks, options)
  checkLengths(q, layout, options)
  precondition(k.shape.rows == layout.keys, "\(k.shape.rows) keys for a layout of \(layout.keys)")
}

private func checkWidths(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ sinks: Tensor?, _ options: AttentionOptions) {
  precondition(
    k.dtype == q.dtype && v.dtype == q.dtype && k.device == q.device && v.device == q.device,
    "queries \(q.dtype) on \(q.device), keys \(k.dtype) on \(k.device), values \(v.dtype) on \(v.device)")
  precondition(q.shape.columns == options.heads * options.headDimension, "queries \(q.shape) for \(options)")
  precondition(k.shape.columns == options.keyValueHeads * options.headDimension, "keys \(k.shape) for \(options)")
  precondition(
    v.shape.columns == options.keyValueHeads * options.values && v.shape.rows == k.shape.rows, "values \(v.shape) for \(options)")
  precondition(sinks.map { $0.count == options.heads } ?? true, "sinks \(sinks?.shape ?? []) for \(options.heads) heads")
}

private func checkLengths(_ q: Tensor, _ layout: SequenceLayout, _ options: AttentionOptions) {
  precondition(q.shape.rows == layout.queries, "\(q.shape.rows) queries for a layout of \(layout.queries)")
  guard options.causal else { return }
  for s in 0..<layout.count {
    let (queries, keys) = (layout.queryStarts[s + 1] - layout.queryStarts[s], layout.keyStarts[s + 1] - layout.keyStarts[s])
    precondition(keys >= queries, "sequence \(s) has \(queries) queries and only \(keys) keys")
  }
}
