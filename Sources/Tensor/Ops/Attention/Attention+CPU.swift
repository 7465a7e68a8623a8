import Foundation
import SwiftletCPU
import SwiftletTensorCore

/// Where the keys and values of one sequence lie.
struct AttentionSlice {
  let keys: UnsafePointer<Float>
  let values: UnsafePointer<Float>
}

/// One attention over packed sequences.
struct AttentionPlan {
  let options: AttentionOptions
  let layout: SequenceLayout

  var queryWidth: Int { options.heads * options.headDimension }
  var keyWidth: Int { options.keyValueHeads * options.headDimension }
  var valueWidth: Int { options.keyValueHeads * options.values }
  var outputWidth: Int { options.heads * options.values }

  /// The sequences' parts of keys and values that stand in one stream.
  func slices(_ k: Tensor, _ v: Tensor) -> [AttentionSlice] {
    layout.keyStarts.dropLast().map { AttentionSlice(keys: k.pointer + $0 * keyWidth, values: v.pointer + $0 * valueWidth) }
  }

  func queryCount(_ sequence: Int) -> Int { layout.queryStarts[sequence + 1] - layout.queryStarts[sequence] }
  func keyCount(_ sequence: Int) -> Int { layout.keyStarts[sequence + 1] - layout.keyStarts[sequence] }

  /// The keys that query `query` of `sequence` sees.
  func visible(_ query: Int, in sequence: Int) -> Range<Int> {
    options.visible(keyCount(sequence) - queryCount(sequence) + query, keys: keyCount(sequence))
  }

  /// The score of one query and key head.
  func score(_ q: UnsafePointer<Float>, _ k: UnsafePointer<Float>) -> Float {
    var dot: Float = 0
    for d in 0..<options.headDimension { dot += q[d] * k[d] }
    let score = dot * options.scale
    return options.softCap.map { $0 * Foundation.tanh(score / $0) } ?? score
  }

  func forward(
    _ q: UnsafePointer<Float>, _ slices: [AttentionSlice], _ sinks: Tensor?, into y: UnsafeMutablePointer<Float>,
    _ logSums: UnsafeMutablePointer<Float>
  ) {
    let heads = options.heads
    for sequence in 0..<layout.count {
      let start = layout.queryStarts[sequence]
      parallelFor(queryCount(sequence) * heads, grain: 8) { range in
        var scores = [Float](repeating: 0, count: keyCount(sequence))
        for index in range {
          let (query, head) = (index / heads, index % heads)
          let row = start + query
          logSums[row * heads + head] = forwardRow(
            q + row * queryWidth + head * options.headDimension, slices[sequence], head, visible(query, in: sequence),
            sink: sinks?.pointer[head], &scores, into: y + row * outputWidth + head * options.values)
        }
      }
    }
  }

  private func forwardRow(
    _ q: UnsafePointer<Float>, _ slice: AttentionSlice, _ head: Int, _ visible: Range<Int>, sink: Float?, _ scores: inout [Float],
    into y: UnsafeMutablePointer<Float>
  ) -> Float {
    let keyHead = head / options.group
    var most = sink ?? -.infinity
    for j in visible {
      scores[j] = score(q, slice.keys + j * keyWidth + keyHead * options.headDimension)
      most = max(most, scores[j])
    }
    var total = sink.map { Foundation.exp($0 - most) } ?? 0
    y.update(repeating: 0, count: options.values)
    for j in visible {
      let weight = Foundation.exp(scores[j] - most)
      total += weight
      let v = slice.values + j * valueWidth + keyHead * options.values
      for d in 0..<options.values { y[d] += weight * v[d] }
    }
    if total > 0 { for d in 0..<options.values { y[d] /= total } }
    return most + Foundation.log(total)
  }
}
