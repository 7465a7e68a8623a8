import CPlatform
import Foundation
import SwiftletCPU
import SwiftletTensorCore

extension AttentionPlan {
  /// Gradients of q, k, v and, where there are sinks, of them.
  ///
  /// One task has one sequence and key head. It goes through blocks of 64 keys, within each through the heads of the group and blocks of 64
  /// queries, always in ascending order: scores and probabilities again from the log-sums, then five small products. FLOPs: 10·dimension per
  /// visible pair.
  func backward(
    q: Tensor, k: Tensor, v: Tensor, sinks: Tensor?, output: Tensor, logSums: Tensor, gradient: Tensor
  ) -> [Tensor] {
    let (dq, dk, dv) = (Tensor(zeros: q.shape), Tensor(uninitialized: k.shape), Tensor(uninitialized: v.shape))
    let pulls = pulls(output, gradient)
    let pass = BackwardPass(
      plan: self, q: q.pointer, slices: slices(k, v), logSums: logSums.pointer, pulls: pulls.pointer, gradient: gradient.pointer,
      dq: dq.pointer, dk: dk.pointer, dv: dv.pointer)
    let keyHeads = options.keyValueHeads
    parallelFor(layout.count * keyHeads) { range in
      let scratch = BackwardScratch(self)
      for index in range { pass.run(sequence: index / keyHeads, keyHead: index % keyHeads, scratch) }
    }
    guard let sinks else { return [dq, dk, dv] }
    return [dq, dk, dv, sinkGradient(sinks, logSums, pulls)]
  }

  /// Σ dy·y for each query and head.
  private func pulls(_ output: Tensor, _ gradient: Tensor) -> Tensor {
    let result = Tensor(uninitialized: [layout.queries, options.heads], part: .workspace)
    let (y, dy, target, heads, values) = (output.pointer, gradient.pointer, result.pointer, options.heads, options.values)
    forRows(layout.queries, columns: outputWidth) { row in
      for head in 0..<heads {
        let place = (row * heads + head) * values
        target[row * heads + head] = swiftlet_dot(y + place, dy + place, values)
      }
    }
    return result
  }

  /// −Σ exp(sink − log-sum)·pull for each head, rows in ascending order.
  private func sinkGradient(_ sinks: Tensor, _ logSums: Tensor, _ pulls: Tensor) -> Tensor {
    let result = Tensor(zeros: [options.heads], part: .gradients)
    let (logits, sums, pull, target, heads) = (sinks.pointer, logSums.pointer, pulls.pointer, result.pointer, options.heads)
    for head in 0..<heads {
      var total = 0.0
      for row in 0..<layout.queries {
        total -= Foundation.exp(Double(logits[head] - sums[row * heads + head])) * Double(pull[row * heads + head])
      }
      target[head] = Float(total)
    }
    return result
  }
}

/// Memory that one thread works in.
private struct BackwardScratch {
  let keysTransposed, keys, valuesTransposed: Tensor
  let queries, gradients: Tensor
  let scores, slopes: Tensor
  let dk, dv, dq: Tensor

  init(_ plan: AttentionPlan) {
    let block = AttentionPlan.keyBlock
    let make = { (rows: Int, columns: Int) in Tensor(uninitialized: [rows, columns], part: .workspace) }
    (keysTransposed, keys) = (make(plan.options.headDimension, block), make(block, plan.paddedDimension))
    valuesTransposed = make(plan.options.values, block)
    (queries, gradients) = (make(block, plan.paddedDimension), make(block, plan.paddedValues))
    (scores, slopes) = (make(block, block), make(block, block))
    (dk, dv, dq) = (make(block, plan.paddedDimension), make(block, plan.paddedValues), make(block, plan.paddedDimension))
  }
}

private struct BackwardPass {
  let plan: AttentionPlan
  let q: UnsafePointer<Float>
  let slices: [AttentionSlice]
  let logSums: UnsafePointer<Float>
  let pulls: UnsafePointer<Float>
  let gradient: UnsafePointer<Float>
  let dq: UnsafeMutablePointer<Float>
  let dk: UnsafeMutablePointer<Float>
  let dv: UnsafeMutablePointer<Float>

  private var options: AttentionOptions { plan.options }

  func run(sequence: Int, keyHead: Int, _ scratch: BackwardScratch) {
    let (count, queries) = (plan.keyCount(sequence), plan.queryCount(sequence))
    for key in stride(from: 0, to: count, by: AttentionPlan.keyBlock) {
      let keys = key..<min(key + AttentionPlan.keyBlock, count)
      load(sequence, keyHead, keys, scratch)
      for head in keyHead * options.group..<(keyHead + 1) * options.group {
        for start in stride(from: 0, to: queries, by: AttentionPlan.keyBlock) {
          let block = start..<min(start + AttentionPlan.keyBlock, queries)
          let seeing = plan.seeing(keys, among: block, in: sequence)
          if !seeing.isEmpty { pair(sequence, head, keys, seeing, scratch) }
        }
      }
      store(sequence, keyHead, keys, scratch)
    }
  }

  private func load(_ sequence: Int, _ keyHead: Int, _ keys: Range<Int>, _ scratch: BackwardScratch) {
    let (dimension, values) = (options.headDimension, options.values)
    let key = slices[sequence].keys + keys.lowerBound * plan.keyWidth + keyHead * dimension
    let value = slices[sequence].values + keys.lowerBound * plan.valueWidth + keyHead * values
    swiftlet_transpose(key, plan.keyWidth, keys.count, dimension, scratch.keysTransposed.pointer, AttentionPlan.keyBlock)
    swiftlet_transpose(value, plan.valueWidth, keys.count, values, scratch.valuesTransposed.pointer, AttentionPlan.keyBlock)
    pack(key, stride: plan.keyWidth, rows: keys.count, columns: dimension, into: scratch.keys.pointer, plan.paddedDimension)
    scratch.dk.pointer.update(repeating: 0, count: scratch.dk.count)
    scratch.dv.pointer.update(repeating: 0, count: scratch.dv.count)
  }

  private func pair(_ sequence: Int, _ head: Int, _ keys: Range<Int>, _ queries: Range<Int>, _ scratch: BackwardScratch) {
    let (width, rows, columns) = (AttentionPlan.keyBlock, queries.count, (keys.count + 15) / 16 * 16)
    let (dimension, padded, values, paddedValues) = (options.headDimension, plan.paddedDimension, options.values, plan.paddedValues)
    let row = plan.layout.queryStarts[sequence] + queries.lowerBound
    let (query, dy) = (q + row * plan.queryWidth + head * dimension, gradient + row * plan.outputWidth + head * values)
    pack(query, stride: plan.queryWidth, rows: rows, columns: dimension, into: scratch.queries.pointer, padded)
    pack(dy, stride: plan.outputWidth, rows: rows, columns: values, into: scratch.gradients.pointer, paddedValues)
    let (scores, slopes) = (scratch.scores.pointer, scratch.slopes.pointer)
    // The same chain as in forward, so that the probabilities fit its log-sums.
    swiftlet_small_gemm(
      scratch.queries.pointer, padded, 1, scratch.keysTransposed.pointer, width, scores, width, rows, columns, dimension, false)
    swiftlet_small_gemm(
      scratch.gradients.pointer, paddedValues, 1, scratch.valuesTransposed.pointer, width, slopes, width, rows, columns, values, false)
    probabilities(sequence, head, keys, queries, columns, scratch)
    swiftlet_small_gemm(
      scores, 1, width, scratch.gradients.pointer, paddedValues, scratch.dv.pointer, paddedValues, keys.count, paddedValues, rows, true)
    swiftlet_small_gemm(slopes, 1, width, scratch.queries.pointer, padded, scratch.dk.pointer, padded, keys.count, padded, rows, true)
    swiftlet_small_gemm(slopes, width, 1, scratch.keys.pointer, padded, scratch.dq.pointer, padded, rows, padded, keys.count, false)
    for r in 0..<rows {
      let target = dq + (row + r) * plan.queryWidth + head * dimension
      swiftlet_add(target, scratch.dq.pointer + r * padded, target, dimension)
    }
  }

  /// Scores to probabilities, dy·vᵀ to gradients of the dot products, both in place.
  private func probabilities(
    _ sequence: Int, _ head: Int, _ keys: Range<Int>, _ queries: Range<Int>, _ columns: Int, _ scratch: BackwardScratch
  ) {
    var form = plan.scores
    let width = AttentionPlan.keyBlock
    for (r, query) in queries.enumerated() {
      let visible = plan.visible(query, in: sequence)
      let place = (plan.layout.queryStarts[sequence] + query) * options.heads + head
      swiftlet_softmax_block_backward(
        &form, scratch.scores.pointer + r * width, scratch.slopes.pointer + r * width, columns, visible.lowerBound - keys.lowerBound,
        min(visible.upperBound, keys.upperBound) - keys.lowerBound, logSums[place], pulls[place])
    }
  }

  private func store(_ sequence: Int, _ keyHead: Int, _ keys: Range<Int>, _ scratch: BackwardScratch) {
    let first = plan.layout.keyStarts[sequence] + keys.lowerBound
    for row in 0..<keys.count {
      (dk + (first + row) * plan.keyWidth + keyHead * options.headDimension).update(
        from: scratch.dk.pointer + row * plan.paddedDimension, count: options.headDimension)
      (dv + (first + row) * plan.valueWidth + keyHead * options.values).update(
        from: scratch.dv.pointer + row * plan.paddedValues, count: options.values)
    }
  }
}
