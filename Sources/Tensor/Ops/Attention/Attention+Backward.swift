import Foundation
import SwiftletCPU
import SwiftletTensorCore

extension AttentionPlan {
  /// Gradients of q, k, v and, where there are sinks, of them. One task has one sequence and key head, and goes through its queries in
  /// ascending order.
  func backward(
    q: Tensor, k: Tensor, v: Tensor, sinks: Tensor?, output: Tensor, logSums: Tensor, gradient: Tensor
  ) -> [Tensor] {
    let (dq, dk, dv) = (Tensor(zeros: q.shape), Tensor(zeros: k.shape), Tensor(zeros: v.shape))
    let sinkParts = Tensor(zeros: [layout.count, options.heads], part: .workspace)
    let pass = BackwardPass(
      plan: self, q: q.pointer, slices: slices(k, v), sinks: sinks?.pointer, output: output.pointer, logSums: logSums.pointer,
      gradient: gradient.pointer, dq: dq.pointer, dk: dk.pointer, dv: dv.pointer, dsinks: sinkParts.pointer)
    let keyHeads = options.keyValueHeads
    parallelFor(layout.count * keyHeads) { range in
      for index in range { pass.run(sequence: index / keyHeads, keyHead: index % keyHeads) }
    }
    guard sinks != nil else { return [dq, dk, dv] }
    let dsinks = Tensor(zeros: [options.heads], part: .gradients)
    addColumnSums(sinkParts.pointer, rows: layout.count, columns: options.heads, to: dsinks.pointer)
    return [dq, dk, dv, dsinks]
  }

  private struct BackwardPass {
    let plan: AttentionPlan
    let q: UnsafePointer<Float>
    let slices: [AttentionSlice]
    let sinks: UnsafePointer<Float>?
    let output: UnsafePointer<Float>
    let logSums: UnsafePointer<Float>
    let gradient: UnsafePointer<Float>
    let dq: UnsafeMutablePointer<Float>
    let dk: UnsafeMutablePointer<Float>
    let dv: UnsafeMutablePointer<Float>
    let dsinks: UnsafeMutablePointer<Float>

    func run(sequence: Int, keyHead: Int) {
      let options = plan.options
      for query in 0..<plan.queryCount(sequence) {
        for head in keyHead * options.group..<(keyHead + 1) * options.group { row(sequence, query, head, keyHead) }
      }
    }

    private func row(_ sequence: Int, _ query: Int, _ head: Int, _ keyHead: Int) {
      let options = plan.options
      let (dimension, values) = (options.headDimension, options.values)
      let row = plan.layout.queryStarts[sequence] + query
      let (qPlace, yPlace) = (row * plan.queryWidth + head * dimension, row * plan.outputWidth + head * values)
      let logSum = logSums[row * options.heads + head]
      let dy = gradient + yPlace
      var pull: Float = 0
      for d in 0..<values { pull += dy[d] * output[yPlace + d] }
      if let sinks { dsinks[sequence * options.heads + head] -= Foundation.exp(sinks[head] - logSum) * pull }
      let keyStart = plan.layout.keyStarts[sequence]
      for j in plan.visible(query, in: sequence) {
        let (kPlace, vPlace) = (j * plan.keyWidth + keyHead * dimension, j * plan.valueWidth + keyHead * values)
        let (key, value) = (slices[sequence].keys + kPlace, slices[sequence].values + vPlace)
        let score = plan.score(q + qPlace, key)
        let probability = Foundation.exp(score - logSum)
        var dp: Float = 0
        let dvRow = dv + keyStart * plan.valueWidth + vPlace
        for d in 0..<values {
          dp += dy[d] * value[d]
          dvRow[d] += probability * dy[d]
        }
        var ds = probability * (dp - pull) * options.scale
        if let cap = options.softCap { ds *= 1 - (score / cap) * (score / cap) }
        let dkRow = dk + keyStart * plan.keyWidth + kPlace
        for d in 0..<dimension {
          dq[qPlace + d] += ds * key[d]
          dkRow[d] += ds * q[qPlace + d]
        }
      }
    }
  }
}
