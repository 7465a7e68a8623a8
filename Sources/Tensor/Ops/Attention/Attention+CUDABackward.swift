import SwiftletCUDA
import SwiftletTensorCore

extension CUDAAttention {
  /// What a backward pass reads.
  struct Saved {
    let q, k, v, output, logSums, gradient: Tensor
    let sinks: Tensor?
  }

  /// Gradients of q, k, v and, where there are sinks, of them (float32).
  func backward(_ saved: Saved) -> [Tensor] {
    let (q, k, v) = (saved.q, saved.k, saved.v)
    let gradients = [q, k, v].map { Tensor(uninitialized: $0.shape, dtype, on: device) }
    if saved.sinks == nil, let dnn = DNNAttention(plan, like: q) {
      dnn.backward(saved, gradients, scale: options.scale)
      return gradients
    }
    let logits = saved.sinks?.cast(to: .float32, part: .workspace)
    let pulls = logits != nil || !isHopperBackward ? Tensor(uninitialized: [heads, queries], part: .workspace, on: device) : nil
    if isHopperBackward {
      backwardHopper(saved, gradients, pulls)
    } else if let pulls {
      backward(saved, gradients, pulls)
    }
    defer { withExtendedLifetime((logits, pulls)) {} }
    guard let logits, let pulls else { return gradients }
    let sinkGradient = Tensor(uninitialized: [heads], part: .gradients, on: device)
    rowKernel("attention_sinks").launch(
      grid: (heads, 1, 1), block: (256, 1, 1), sinkGradient.address, logits.address, saved.logSums.address, pulls.address, Int32(queries))
    return gradients + [sinkGradient]
  }

  private var isHopperBackward: Bool { if case .hopper = backwardKernels { true } else { false } }

  /// Two passes over the scores, by queries and by keys; no memory but `pulls`.
  private func backward(_ saved: Saved, _ gradients: [Tensor], _ pulls: Tensor) {
    let size = backwardKernels.queryTile
    let queryTiles = AttentionTiles(.queries, size: size, plan, on: device)
    let keyTiles = AttentionTiles(.keys(queryTile: size), size: size, plan, on: device)
    rowKernel("attention_pulls").launch(
      grid: ((queries * heads + 7) / 8, 1, 1), block: (256, 1, 1), pulls.address, saved.output.address, saved.gradient.address,
      Int32(plan.outputWidth), Int32(plan.outputWidth), Int32(queries), Int32(heads))
    let (threads, shared, parts) =
      switch backwardKernels {
      case .matrix(let keys): (128, Self.matrixShared(width, tiles: 2, keys: keys), width > 128 ? 2 : 1)
      case .plain(let rows): (256, Self.plainShared(options, tiles: width + options.values, rows: rows), 1)
      case .hopper: preconditionFailure("not for Hopper's kernels")
      }
    generalKernel("attention_dq").launch(
      grid: (queryTiles.count, heads, 1), block: (threads, 1, 1), shared: shared,
      gradients[0].address, saved.q.address, saved.k.address, saved.v.address, saved.gradient.address, saved.logSums.address, pulls.address,
      queryTiles.records.address, Int32(plan.queryWidth), Int32(plan.queryWidth), Int32(plan.keyWidth), Int32(plan.valueWidth),
      Int32(plan.outputWidth), Int32(queries), group, causal, window, options.scale, cap)
    generalKernel("attention_dkv").launch(
      grid: (keyTiles.count, options.keyValueHeads, parts), block: (threads, 1, 1), shared: shared,
      gradients[1].address, gradients[2].address, saved.q.address, saved.k.address, saved.v.address, saved.gradient.address,
      saved.logSums.address, pulls.address, keyTiles.records.address, Int32(plan.keyWidth), Int32(plan.valueWidth), Int32(plan.queryWidth),
      Int32(plan.keyWidth), Int32(plan.valueWidth), Int32(plan.outputWidth), Int32(queries), group, causal, window, options.scale, cap)
  }

  private func generalKernel(_ function: StaticString) -> CUDAKernel {
    switch backwardKernels {
    case .matrix(let keys): matrixKernel(function, keys: keys)
    case .plain(let rows): plainKernel(function, rows: rows)
    case .hopper: preconditionFailure("not for Hopper's kernels")
    }
  }
}
