import CPlatform
import Foundation
import SwiftletCPU
import SwiftletTensorCore

/// Where the keys and values of one sequence lie.
struct AttentionSlice {
  let keys: UnsafePointer<Float>
  let values: UnsafePointer<Float>
}

/// One attention over packed sequences.
///
/// Keys go in blocks of 64 that begin at the sequence's first key, whatever the queries, and each score, sum and output element is one chain
/// of operations in key order: so a query gets the same bits in training, prefill and decoding. Per block of keys: scores = q·kᵀ for up to
/// 128 queries of a head (keys transposed once for all heads of the group), the running maximum and sum of the softmax, and output ·= factor,
/// += p·v. FLOPs: 4·dimension per visible pair.
struct AttentionPlan {
  let options: AttentionOptions
  let layout: SequenceLayout

  static let keyBlock = 64
  static let queryBlock = 128

  var queryWidth: Int { options.heads * options.headDimension }
  var keyWidth: Int { options.keyValueHeads * options.headDimension }
  var valueWidth: Int { options.keyValueHeads * options.values }
  var outputWidth: Int { options.heads * options.values }
  /// Features rounded up to whole vectors.
  var paddedDimension: Int { (options.headDimension + 15) / 16 * 16 }
  var paddedValues: Int { (options.values + 15) / 16 * 16 }
  var scores: swiftlet_scores { swiftlet_scores(scale: options.scale, cap: options.softCap ?? 0) }

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

  /// The queries among `queries` that see any of `keys`: they stand together.
  func seeing(_ keys: Range<Int>, among queries: Range<Int>, in sequence: Int) -> Range<Int> {
    guard options.causal, !queries.isEmpty else { return queries }
    let offset = keyCount(sequence) - queryCount(sequence)
    let first = max(queries.lowerBound, keys.lowerBound - offset)
    let end = min(queries.upperBound, options.window.map { keys.upperBound - offset + $0 - 1 } ?? .max)
    return first..<max(first, end)
  }

  /// The blocks of keys that any of `queries` sees.
  func keyBlocks(_ queries: Range<Int>, in sequence: Int) -> StrideTo<Int> {
    guard let first = queries.first, let last = queries.last else { return stride(from: 0, to: 0, by: 1) }
    let start = visible(first, in: sequence).lowerBound / Self.keyBlock * Self.keyBlock
    return stride(from: start, to: visible(last, in: sequence).upperBound, by: Self.keyBlock)
  }

  /// The output and, for each query and head, the log-sum of exponentials [queries, heads].
  func forward(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ sinks: Tensor?) -> (output: Tensor, logSums: Tensor) {
    let output = Tensor(uninitialized: [layout.queries, outputWidth])
    let logSums = Tensor(uninitialized: [layout.queries, options.heads])
    forward(q.pointer, slices(k, v), sinks?.float32, into: output.pointer, logSums.pointer)
    return (output, logSums)
  }

  func forward(
    _ q: UnsafePointer<Float>, _ slices: [AttentionSlice], _ sinks: Tensor?, into y: UnsafeMutablePointer<Float>,
    _ logSums: UnsafeMutablePointer<Float>
  ) {
    let tasks = forwardTasks()
    parallelFor(tasks.count) { range in
      let scratch = ForwardScratch(self)
      for task in tasks[range] {
        ForwardTask(
          plan: self, q: q, slice: slices[task.sequence], sinks: sinks?.pointer, y: y, logSums: logSums, scratch: scratch, work: task
        )
        .run()
      }
    }
  }

  struct Work {
    let sequence: Int
    let keyHead: Int
    let queries: Range<Int>
  }

  private func forwardTasks() -> [Work] {
    (0..<layout.count).flatMap { sequence in
      let count = queryCount(sequence)
      return stride(from: 0, to: count, by: Self.queryBlock).flatMap { start in
        (0..<options.keyValueHeads).map {
          Work(sequence: sequence, keyHead: $0, queries: start..<min(start + Self.queryBlock, count))
        }
      }
    }
  }
}

/// Memory that one thread works in.
private struct ForwardScratch {
  let keys: Tensor
  let values: Tensor
  let scores: Tensor
  let sums: Tensor
  let maxima: Tensor
  let totals: Tensor

  init(_ plan: AttentionPlan) {
    let (block, queries) = (AttentionPlan.keyBlock, AttentionPlan.queryBlock)
    let longest = (0..<plan.layout.count).reduce(0) { max($0, plan.queryCount($1)) }
    let rows = min(queries, longest)
    keys = Tensor(uninitialized: [plan.options.headDimension, block], part: .workspace)
    values = Tensor(uninitialized: [block, plan.paddedValues], part: .workspace)
    scores = Tensor(uninitialized: [rows, block], part: .workspace)
    sums = Tensor(uninitialized: [plan.options.group, rows, plan.paddedValues], part: .workspace)
    maxima = Tensor(uninitialized: [plan.options.group, rows], part: .workspace)
    totals = Tensor(uninitialized: [plan.options.group, rows], part: .workspace)
  }
}

/// Up to 128 queries of one sequence, for all heads that share a key head.
private struct ForwardTask {
  let plan: AttentionPlan
  let q: UnsafePointer<Float>
  let slice: AttentionSlice
  let sinks: UnsafePointer<Float>?
  let y: UnsafeMutablePointer<Float>
  let logSums: UnsafeMutablePointer<Float>
  let scratch: ForwardScratch
  let work: AttentionPlan.Work

  private var options: AttentionOptions { plan.options }
  private var rows: Int { work.queries.count }
  private var start: Int { plan.layout.queryStarts[work.sequence] + work.queries.lowerBound }

  func run() {
    begin()
    for key in plan.keyBlocks(work.queries, in: work.sequence) {
      let keys = key..<min(key + AttentionPlan.keyBlock, plan.keyCount(work.sequence))
      let seeing = plan.seeing(keys, among: work.queries, in: work.sequence)
      if seeing.isEmpty { continue }
      swiftlet_transpose(
        slice.keys + key * plan.keyWidth + work.keyHead * options.headDimension, plan.keyWidth, keys.count, options.headDimension,
        scratch.keys.pointer, AttentionPlan.keyBlock)
      let (values, stride) = packedValues(keys)
      for member in 0..<options.group { block(keys, seeing, member, values, stride) }
    }
    for member in 0..<options.group { end(member) }
  }

  private func begin() {
    let count = options.group * rows
    scratch.sums.pointer.update(repeating: 0, count: count * plan.paddedValues)
    for index in 0..<count {
      let sink = sinks?[work.keyHead * options.group + index / rows]
      scratch.maxima.pointer[index] = sink ?? -.infinity
      scratch.totals.pointer[index] = sink == nil ? 0 : 1
    }
  }

  /// Values as rows of whole vectors; where they lie for a few queries, else copied together, which spares cache conflicts.
  private func packedValues(_ keys: Range<Int>) -> (UnsafePointer<Float>, Int) {
    let from = slice.values + keys.lowerBound * plan.valueWidth + work.keyHead * options.values
    if rows <= 8 && plan.paddedValues == options.values { return (from, plan.valueWidth) }
    pack(from, stride: plan.valueWidth, rows: keys.count, columns: options.values, into: scratch.values.pointer, plan.paddedValues)
    return (UnsafePointer(scratch.values.pointer), plan.paddedValues)
  }

  private func block(_ keys: Range<Int>, _ seeing: Range<Int>, _ member: Int, _ values: UnsafePointer<Float>, _ valueStride: Int) {
    let head = work.keyHead * options.group + member
    let first = seeing.lowerBound - work.queries.lowerBound
    let (width, padded) = (AttentionPlan.keyBlock, plan.paddedValues)
    let columns = (keys.count + 15) / 16 * 16
    let (scores, sums) = (scratch.scores.pointer, scratch.sums.pointer + (member * rows + first) * padded)
    swiftlet_small_gemm(
      q + (start + first) * plan.queryWidth + head * options.headDimension, plan.queryWidth, 1, scratch.keys.pointer, width, scores, width,
      seeing.count, columns, options.headDimension, false)
    var form = plan.scores
    for row in 0..<seeing.count {
      let visible = plan.visible(seeing.lowerBound + row, in: work.sequence)
      let place = member * rows + first + row
      let factor = swiftlet_softmax_block(
        &form, scores + row * width, columns, visible.lowerBound - keys.lowerBound,
        min(visible.upperBound, keys.upperBound) - keys.lowerBound,
        scratch.maxima.pointer + place, scratch.totals.pointer + place)
      if factor != 1 { swiftlet_scale(sums + row * padded, factor, sums + row * padded, padded) }
    }
    swiftlet_small_gemm(scores, width, 1, values, valueStride, sums, padded, seeing.count, padded, keys.count, true)
  }

  /// Divides by the softmax's sum and writes the output.
  private func end(_ member: Int) {
    let head = work.keyHead * options.group + member
    for row in 0..<rows {
      let place = member * rows + row
      let total = scratch.totals.pointer[place]
      let target = y + (start + row) * plan.outputWidth + head * options.values
      swiftlet_scale(scratch.sums.pointer + place * plan.paddedValues, total > 0 ? 1 / total : 0, target, options.values)
      logSums[(start + row) * options.heads + head] = scratch.maxima.pointer[place] + Foundation.log(total)
    }
  }
}

/// Copies rows together, each filled up with zeros to `padded` columns.
func pack(
  _ source: UnsafePointer<Float>, stride: Int, rows: Int, columns: Int, into target: UnsafeMutablePointer<Float>, _ padded: Int
) {
  for row in 0..<rows {
    (target + row * padded).update(from: source + row * stride, count: columns)
    for j in columns..<padded { target[row * padded + j] = 0 }
  }
}
