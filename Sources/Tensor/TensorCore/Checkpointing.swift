/// Where a checkpointed block keeps its input until backward.
public enum SavePlacement: String, Sendable {
  /// Where the input lies.
  case device
  /// In host memory, copied out behind the computation and fetched ahead in backward. On the CPU the same as `device`.
  case host
}

/// `body(x)` without keeping what it saves: only `x` is kept, and backward runs `body` again.
///
/// The replay must compute the same bits: random numbers come from counters (`Random`), so they do by themselves. Off tape this is
/// `body(x)`. Cost: one more forward of `body`. Parameters that `body` uses get their gradients during the replay.
///
/// - Parameter fetchingLate: in backward the next checkpointed input is fetched from host memory while the first op of `body` goes back, not from
///   the start of the replay on: less time for the copy, and one input less beside what the replay takes at its peak.
public func checkpointed(
  _ x: Tensor, keeping placement: SavePlacement = .device, fetchingLate: Bool = false, _ body: @escaping (Tensor) -> Tensor
) -> Tensor {
  guard let trace = x.trace else { return body(x) }
  let output = body(x.detached)
  return trace.tape.record("checkpointed", [x], saving: [x], at: placement, outputs: [output], always: true) { context in
    guard let gradient = context.take() else { return [nil] }
    let inner = Tape(isReplay: true)
    if fetchingLate { inner.beforeLastRule = context.fetchNext } else { context.fetchNext?() }
    let box = GradientBox()
    let input = context.needs[0] ? inner.watch(context.saved[0], for: box) : inner.carry(context.saved[0])
    let replayed = body(input)
    // Given away, so that ops may write into it.
    inner.backward(from: consume replayed, seed: consume gradient)
    return [box.gradient]
  }[0]
}
