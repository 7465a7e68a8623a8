import SwiftletCUDA
import SwiftletTensorCore

extension CUDAAttention {
  /// What a backward pass reads, taken from the node: what has been read for the last time makes room.
  struct Saved {
    var q: Tensor
    let k, v: Tensor
    /// Read only for the sums Σ dy·y.
    var output: Tensor?
    let logSums, gradient: Tensor
    let sinks: Tensor?

    init(_ context: inout BackwardContext, _ gradient: consuming Tensor, hasSinks: Bool) {
      let last = context.saved.count - 1
      (q, k, v) = (context.takeSaved(0), context.takeSaved(1), context.takeSaved(2))
      sinks = hasSinks ? context.takeSaved(3) : nil
      (output, logSums) = (context.takeSaved(last - 1), context.takeSaved(last))
      self.gradient = gradient
    }
  }

  /// Gradients of q, k, v and, where there are sinks, of them (float32).
  func backward(_ saved: consuming Saved) -> [Tensor] {
    if saved.sinks == nil, let dnn = DNNAttention(plan, like: saved.q) { return dnn.backward(saved, scale: options.scale) }
    let logits = saved.sinks?.cast(to: .float32, part: .workspace)
    let pulls = logits != nil || !isHopperBackward ? Tensor(uninitialized: [heads, queries], part: .workspace, on: device) : nil
    let gradients = isHopperBackward ? backwardHopper(&saved, pulls) : backward(&saved, pulls)
    defer { withExtendedLifetime((logits, pulls)) {} }
    guard let logits, let pulls else { return gradients }
    let sinkGradient = Tensor(uninitialized: [heads], part: .gradients, on: device)
    rowKernel("attention_sinks").launch(
      grid: (heads, 1, 1), block: (256, 1, 1), sinkGradient.address, logits.address, saved.logSums.address, pulls.address, Int32(queries))
    return gradients + [sinkGradient]
  }

  private var isHopperBackward: Bool { if case .hopper = backwardKernels { true } else { false } }

  func fresh(_ like: Tensor) -> Tensor { Tensor(uninitialized: like.shape, dtype, on: device) }

  /// Two passes over the scores, by queries and by keys; no memory but `pulls`.
  private func backward(_ saved: inout Saved, _ pulls: Tensor?) -> [Tensor] {
    let size = backwardKernels.queryTile
    let queryTiles = AttentionTiles(.queries, size: size, plan, on: device)
    let keyTiles = AttentionTiles(.keys(queryTile: size), size: size, plan, on: device)
    rowKernel("attention_pulls").launch(
      grid: ((queries * heads + 7) / 8, 1, 1), block: (256, 1, 1), pulls.addressOrNull, saved.output.addressOrNull,
      saved.gradient.address, Int32(plan.outputWidth), Int32(plan.outputWidth), Int32(queries), Int32(heads))
    saved.output = nil
    let gradients = [saved.q, saved.k, saved.v].map(fresh)
    let (threads, shared, parts) =
      switch backwardKernels {
      case .matrix(let keys): (128, Self.matrixShared(width, tiles: 2, keys: keys), width > 128 ? 2 : 1)
      case .plain(let rows): (256, Self.plainShared(options, tiles: width + options.values, rows: rows), 1)
      case .hopper: preconditionFailure("not for Hopper's kernels")
      }
    generalKernel("attention_dq").launch(
      grid: (queryTiles.count, heads, 1), block: (threads, 1, 1), shared: shared,
      gradients[0].address, saved.q.address, saved.k.address, saved.v.address, saved.gradient.address, saved.logSums.address,
      pulls.addressOrNull, queryTiles.records.address, Int32(plan.queryWidth), Int32(plan.queryWidth), Int32(plan.keyWidth),
      Int32(plan.valueWidth),
      Int32(plan.outputWidth), Int32(queries), group, causal, window, options.scale, cap)
    generalKernel("attention_dkv").launch(
      grid: (keyTiles.count, options.keyValueHeads, parts), block: (threads, 1, 1), shared: shared,
      gradients[1].address, gradients[2].address, saved.q.address, saved.k.address, saved.v.address, saved.gradient.address,
      saved.logSums.address, pulls.addressOrNull, keyTiles.records.address, Int32(plan.keyWidth), Int32(plan.valueWidth),
      Int32(plan.queryWidth),
      Int32(plan.keyWidth), Int32(plan.valueWidth), Int32(plan.outputWidth), Int32(queries), group, causal, window, options.scale, cap)
    return gradients
  }

  private func generalKernel(_ function: StaticString) -> CUDAKernel {
    switch backwardKernels {
    case .matrix(let keys): matrixKernel(function, keys: keys)
    case .plain(let rows): plainKernel(function, rows: rows)
    case .hopper: preconditionFailure("not for Hopper's kernels")
    }
  }
}
