import SwiftletCUDA
import SwiftletTensorCore
import Synchronization

/// The gradients of attention by cuDNN, where the device `prefersDNN` and they come faster: sequences of one length, causal, without window,
/// soft-cap or sinks.
///
/// H200, bf16, 32/8 heads of 128 (2026-11-22, cuDNN 9.14): 1×8192 2.92 ms where our kernels take 3.23; a step of Llama-3-8B on 16,384 tokens
/// takes 2.5 % less, on 8,192 0.6 %, on 4,096 nothing. dq is summed in the order in which blocks come: not the same bits twice. cuDNN's
/// deterministic way writes all scores to memory, so it is not offered. Forward is ours, which is as fast.
struct DNNAttention {
  /// The shortest sequences for which it pays.
  static let shortest = 8192

  private struct Key: Hashable {
    let device: Device
    let dtype: DType
    let batch, length, heads, keyHeads, width: Int
  }

  /// A plan with the tensors that it reads and writes.
  private final class Ready: Sendable {
    let plan: DNNPlan
    let graph: Graph
    init(_ plan: DNNPlan, _ graph: Graph) { (self.plan, self.graph) = (plan, graph) }
  }

  private static let known = Mutex<[Key: Ready]>([:])
  private let key: Key

  /// Nil where our own kernels compute it.
  init?(_ plan: AttentionPlan, like q: Tensor) {
    let (options, layout) = (plan.options, plan.layout)
    let length = layout.count > 0 ? layout.queries / layout.count : 0
    guard q.gpu.prefersDNN, q.dtype != .float32, q.gpu.capability.major >= 8, length >= Self.shortest, options.causal,
      options.window == nil, options.softCap == nil, options.values == options.headDimension, [64, 128].contains(options.headDimension),
      (0..<layout.count).allSatisfy({ plan.queryCount($0) == length && plan.keyCount($0) == length })
    else { return nil }
    key = Key(
      device: q.device, dtype: q.dtype, batch: layout.count, length: length, heads: options.heads, keyHeads: options.keyValueHeads,
      width: options.headDimension)
  }

  private var gpu: CUDADevice { key.device.gpu }
  private var rows: Int { key.batch * key.length }

  /// Nil on a simulated GPU, and after an error: cuDNN was asked for by name, so what it refuses is not computed otherwise in silence.
  private var ready: Ready? {
    if gpu.isSimulated { return nil }
    return Self.known.withLock { known in
      if let found = known[key] { return found }
      do throws(CUDAError) {
        var graph = DNNGraph(gpu.dnn)
        let tensors = try Graph(
          &graph, key.dtype == .bfloat16 ? .bfloat16 : .float16, batch: key.batch, heads: key.heads, keyHeads: key.keyHeads,
          length: key.length, width: key.width)
        let made = Ready(try graph.plan(), tensors)
        known[key] = made
        return made
      } catch {
        gpu.fail(
          CUDAError(
            wanted: "compute the gradients of attention over \(key.batch) × \(key.length) tokens by cuDNN", found: "\(error)",
            advice: "take out attention: cudnn, and our own kernels do it"))
        return nil
      }
    }
  }

  /// The gradients of q, k and v.
  func backward(_ saved: CUDAAttention.Saved, scale: Float) -> [Tensor] {
    let gradients = [saved.q, saved.k, saved.v].map { Tensor(uninitialized: $0.shape, key.dtype, on: key.device) }
    let sums = Tensor(uninitialized: [rows, key.heads * key.width], part: .workspace, on: key.device)
    let pulls = Tensor(uninitialized: [key.heads, rows], part: .workspace, on: key.device)
    // What cuDNN 9.14 and 9.19 ask for, so that a plan without a GPU counts it too.
    let usual = sums.byteCount + 256
    let ready = ready
    let scratch = Storage(byteCount: max(usual, ready?.plan.workspace ?? 0), part: .workspace, on: key.device)
    gpu.fill(sums.address, byte: 0, bytes: sums.byteCount)
    // Asked for on a simulated GPU, too: what was put off is computed, and its memory counted, when someone wants the address.
    let inputs = [saved.q, saved.k, saved.v].map(\.address)
    if let ready {
      let graph = ready.graph
      ready.plan.run(
        [
          (graph.q, inputs[0]), (graph.k, inputs[1]), (graph.v, inputs[2]), (graph.output, saved.output.addressOrNull),
          (graph.gradient, saved.gradient.address), (graph.logSums, saved.logSums.address), (graph.pulls, pulls.address),
          (graph.sums, sums.address), (graph.dq, gradients[0].address), (graph.dk, gradients[1].address), (graph.dv, gradients[2].address),
        ], numbers: [(graph.scale, scale), (graph.one, 1), (graph.nothing, -.infinity)], scratch: scratch.address,
        named: "attention backward by cuDNN")
    }
    // Memory is given back behind what was queued with its address.
    withExtendedLifetime((saved, sums, pulls, scratch)) {}
    return gradients
  }
}

/// Whether the gradients of this attention would come from cuDNN.
package func takesGradientsFromDNN(_ q: Tensor, layout: SequenceLayout, _ options: AttentionOptions) -> Bool {
  DNNAttention(AttentionPlan(options: options, layout: layout), like: q) != nil
}

extension DNNAttention {
  /// The backward pass as cuDNN knows it (its engine looks for exactly this graph). Rows are tokens: [batch, heads, length, width] with the
  /// heads of a token beside each other. `pulls` are D = Σ dy·y, `sums` those of dq in float32, zero before.
  struct Graph: Sendable {
    let q, k, v, output, gradient, logSums, pulls, sums, dq, dk, dv: DNNTensor
    let scale, one, nothing: DNNTensor

    init(
      _ graph: inout DNNGraph, _ type: DNNType, batch b: Int, heads h: Int, keyHeads: Int, length s: Int, width d: Int
    ) throws(CUDAError) {
      let (rowsSizes, rows) = ([b, h, s, d], [s * h * d, d, h * d, 1])
      let (keySizes, keys) = ([b, keyHeads, s, d], [s * keyHeads * d, d, keyHeads * d, 1])
      let (turnedSizes, turned) = ([b, keyHeads, d, s], [s * keyHeads * d, d, 1, keyHeads * d])
      let (lineSizes, lines) = ([b, h, s, 1], [h * s, s, 1, 1])
      let (squareSizes, square) = ([b, h, s, s], [h * s * s, s * s, s, 1])
      let whole = [h * s * d, s * d, d, 1]
      q = try graph.tensor(rowsSizes, strides: rows, type)
      k = try graph.tensor(turnedSizes, strides: turned, type)
      v = try graph.tensor(turnedSizes, strides: turned, type)
      output = try graph.tensor(rowsSizes, strides: rows, type)
      gradient = try graph.tensor(rowsSizes, strides: rows, type)
      // Ours are [heads, tokens].
      logSums = try graph.tensor(lineSizes, strides: [s, b * s, 1, 1], .float32)
      pulls = try graph.tensor(lineSizes, strides: lines, .float32)
      sums = try graph.tensor(rowsSizes, strides: whole, .float32)
      dq = try graph.tensor(rowsSizes, strides: rows, type)
      dk = try graph.tensor(keySizes, strides: keys, type)
      dv = try graph.tensor(keySizes, strides: keys, type)
      scale = try graph.number()
      one = try graph.number()
      nothing = try graph.number()
      func inside(_ sizes: [Int], _ strides: [Int], _ type: DNNType = .float32) throws(CUDAError) -> DNNTensor {
        try graph.tensor(sizes, strides: strides, type, .inside)
      }

      let weighted = try inside(rowsSizes, [h * s * d, s * d, h * d, 1])
      try graph.pointwise(.multiply, gradient, output, into: weighted)
      let total = try inside(lineSizes, lines)
      try graph.sum(weighted, into: total)
      try graph.pointwise(.multiply, total, one, into: pulls)

      let scores = try inside(squareSizes, square)
      try graph.product(q, k, into: scores)
      let scaled = try inside(squareSizes, square)
      try graph.pointwise(.multiply, scores, scale, into: scaled)
      let logarithms = try inside(squareSizes, square)
      try graph.pointwise(.subtract, scaled, logSums, into: logarithms)
      let (row, column) = (try inside(squareSizes, square, .int32), try inside(squareSizes, square, .int32))
      try graph.pointwise(.placeAlong, logarithms, axis: 2, into: row)
      try graph.pointwise(.placeAlong, logarithms, axis: 3, into: column)
      let isSeen = try inside(squareSizes, square, .boolean)
      try graph.pointwise(.isAtLeast, row, column, into: isSeen)
      let masked = try inside(squareSizes, square)
      try graph.pointwise(.select, logarithms, nothing, mask: isSeen, into: masked)
      let probabilities = try inside(squareSizes, square)
      try graph.pointwise(.exponential, masked, into: probabilities)

      func addUp(_ x: DNNTensor, times y: DNNTensor, into result: DNNTensor) throws(CUDAError) {
        let across = try inside(squareSizes, [h * s * s, s * s, 1, s], type)
        try graph.reshape(x, into: across)
        if h == keyHeads { return try graph.product(across, y, into: result) }
        let parts = try inside(rowsSizes, whole, type)
        try graph.product(across, y, into: parts)
        try graph.sum(parts, into: result)
      }
      try addUp(probabilities, times: gradient, into: dv)
      let arriving = try inside(squareSizes, square)
      try graph.product(gradient, v, into: arriving)
      let centred = try inside(squareSizes, square)
      try graph.pointwise(.subtract, arriving, pulls, into: centred)
      let weightedBack = try inside(squareSizes, square)
      try graph.pointwise(.multiply, centred, probabilities, into: weightedBack)
      let back = try inside(squareSizes, square)
      try graph.pointwise(.multiply, weightedBack, scale, into: back)
      try addUp(back, times: q, into: dk)
      let keysBack = try inside(keySizes, keys)
      try graph.reshape(k, into: keysBack)
      try graph.product(back, keysBack, into: sums)
      try graph.pointwise(.identity, sums, into: dq)
    }
  }
}
