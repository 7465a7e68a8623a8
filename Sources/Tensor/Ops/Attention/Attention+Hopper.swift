import SwiftletCUDA
import SwiftletTensorCore

/// Launches of the kernels for Hopper.
extension CUDAAttention {
  /// Keys that the forward kernel takes at a time.
  private static let forwardKeys = 128
  /// Keys of a block, and queries that it takes at a time, of the backward kernel.
  private static let (backwardKeys, backwardQueries) = (128, 64)
  /// Bytes that the float32 sums of dq may take: more heads than that go in several launches.
  private static let sumBytes = 192 << 20

  private func defines(_ more: [KernelDefine] = []) -> [KernelDefine] {
    [KernelDefine("T", dtype.cudaName), KernelDefine("D", width)] + more + [KernelDefine("CAP", hasCap)]
  }

  /// How the copy engine reads `count` heads' rows: boxes of 64 features, one head, `rows` rows; what lies beyond a head reads as zero.
  private func map(_ x: Tensor, heads: Int, rows: Int) throws(CUDAError) -> TensorMap {
    // Asked for on a simulated GPU, too: what was put off is computed, and its memory counted, when someone wants the address.
    let address = x.address
    return gpu.isSimulated
      ? .none
      : try TensorMap(
        address, dtype == .bfloat16 ? .bfloat16 : .float16, sizes: [width, heads, x.shape.rows], strides: [width * 2, heads * width * 2],
        box: [64, 1, rows], swizzle: .bytes128)
  }

  func forwardHopper(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ sinks: Tensor?, _ output: Tensor, _ logSums: Tensor) {
    let tiles = AttentionTiles(.queries, size: 128, plan, on: device)
    let jobs = tiles.count * heads
    let parts = (width + 63) / 64
    let shared = 2 * (2 * parts * 64 * 64 + 4 * parts * Self.forwardKeys * 64 + 128 * (width + 8)) + 128 + 1024
    do throws(CUDAError) {
      // With no keys at all nothing is read, but a map has at least one row.
      let keyMaps = k.count == 0 ? (q, q) : (k, v)
      kernel("AttentionHopper.cu", "attention_forward_hopper", defines([KernelDefine("BLOCK", Self.forwardKeys)]), on: gpu).launch(
        grid: (min(jobs, gpu.multiprocessors), 1, 1), block: (384, 1, 1), shared: shared,
        output.address, logSums.address, try map(q, heads: heads, rows: 64),
        try map(keyMaps.0, heads: options.keyValueHeads, rows: Self.forwardKeys),
        try map(keyMaps.1, heads: options.keyValueHeads, rows: Self.forwardKeys), sinks?.address ?? .null, tiles.records.address,
        Int32(jobs), Int32(heads), group, Int32(plan.outputWidth), Int32(queries), causal, window, options.scale, cap)
    } catch {
      gpu.fail(error)
    }
  }

  /// Gradients of q, k and v. That of q goes over q itself where nobody else holds it: a launch reads the queries of its own heads only.
  func backwardHopper(_ saved: inout Saved, _ pulls: Tensor?) -> [Tensor] {
    let queryTiles = AttentionTiles(.rows, size: Self.backwardQueries, plan, on: device)
    if queryTiles.count == 0 || saved.k.count == 0 {
      return [saved.q, saved.k, saved.v].map { Tensor(zeros: $0.shape, dtype, on: device) }
    }
    let places = queryTiles.count
    let rows = Tensor(uninitialized: [heads, places, 2 * Self.backwardQueries], part: .workspace, on: device)
    let counters = Tensor(uninitialized: [heads * (2 * places + 1)], .int32, part: .workspace, on: device)
    hopperBackwardKernel("attention_prepare").launch(
      grid: (places, heads, 1), block: (128, 1, 1), rows.address, pulls?.address ?? .null, counters.address, saved.output.addressOrNull,
      saved.gradient.address, saved.logSums.address, queryTiles.records.address, Int32(plan.outputWidth), Int32(plan.outputWidth),
      Int32(queries), Int32(heads))
    saved.output = nil
    let gradients = [saved.q.isUniquelyOwned() ? saved.q : fresh(saved.q), fresh(saved.k), fresh(saved.v)]
    // As few launches as the memory for the sums allows, of equal size.
    let bytes = options.group * places * Self.backwardQueries * width * 4
    let launches = min((options.keyValueHeads * bytes + Self.sumBytes - 1) / Self.sumBytes, options.keyValueHeads)
    let keyHeads = (options.keyValueHeads + launches - 1) / launches
    let sums = Tensor(uninitialized: [keyHeads * options.group, places, Self.backwardQueries * width], part: .workspace, on: device)
    do throws(CUDAError) {
      for first in stride(from: 0, to: options.keyValueHeads, by: keyHeads) {
        let count = min(keyHeads, options.keyValueHeads - first)
        try backwardHopper(saved, gradients, sums, counters, rows, places: places, first..<first + count)
        hopperBackwardKernel("attention_finish").launch(
          grid: (places, count * options.group, 1), block: (128, 1, 1), gradients[0].address, sums.address,
          queryTiles.records.address, Int32(plan.queryWidth), Int32(first * options.group), options.scale)
      }
    } catch {
      gpu.fail(error)
    }
    // Memory is given back behind what was queued with its address.
    withExtendedLifetime((rows, counters, sums)) {}
    return gradients
  }

  private func hopperBackwardKernel(_ function: StaticString) -> CUDAKernel {
    kernel("AttentionHopperBackward.cu", function, defines(), on: gpu)
  }

  private func backwardHopper(
    _ saved: Saved, _ gradients: [Tensor], _ sums: Tensor, _ counters: Tensor, _ rows: Tensor, places: Int, _ keyHeads: Range<Int>
  ) throws(CUDAError) {
    let tiles = AttentionTiles(.keys(queryTile: Self.backwardQueries), size: Self.backwardKeys, plan, on: device)
    let (keys, block) = (Self.backwardKeys, Self.backwardQueries)
    let shared = 2 * (2 * keys * width + 5 * block * width + 2 * keys * block) + 4 * block * width + 24 * block + 128 + 1024
    hopperBackwardKernel("attention_backward_hopper").launch(
      grid: (tiles.count * keyHeads.count, 1, 1), block: (384, 1, 1), shared: shared,
      try map(saved.q, heads: heads, rows: block), try map(saved.k, heads: options.keyValueHeads, rows: keys),
      try map(saved.v, heads: options.keyValueHeads, rows: keys), try map(saved.gradient, heads: heads, rows: block),
      gradients[1].address, gradients[2].address, sums.address, counters.address, rows.address, tiles.records.address,
      Int32(plan.keyWidth), Int32(plan.valueWidth), Int32(places), Int32(heads), Int32(keyHeads.lowerBound), Int32(keyHeads.count), group,
      causal, window, options.scale, cap)
  }
}
