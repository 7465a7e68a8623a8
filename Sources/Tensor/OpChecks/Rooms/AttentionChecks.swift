import SwiftletOps
import SwiftletTensorCore

/// One attention to check.
struct AttentionCase: Sendable {
  let name: String
  let options: AttentionOptions
  let layout: SequenceLayout
  var hasSinks = false

  var queries: Tensor { normal(11, [layout.queries, options.heads * options.headDimension]) }
  var keys: Tensor { normal(12, [layout.keys, options.keyValueHeads * options.headDimension]) }
  var values: Tensor { normal(13, [layout.keys, options.keyValueHeads * (options.valueDimension ?? options.headDimension)]) }
  var sinks: Tensor { normal(14, [options.heads]) }

  var inputs: [Tensor] { [queries, keys, values] + (hasSinks ? [sinks] : []) }

  func run(_ inputs: [Tensor]) -> Tensor {
    attention(inputs[0], inputs[1], inputs[2], sinks: hasSinks ? inputs[3] : nil, layout: layout, options)
  }

  /// The definition, row by row and head by head.
  func definition<R: Real>(_ convert: (Tensor) -> [R]) -> [R] {
    let (q, k, v, s) = (convert(queries), convert(keys), convert(values), convert(sinks))
    let (dimension, valueDimension) = (options.headDimension, options.valueDimension ?? options.headDimension)
    var result: [R] = []
    for sequence in 0..<layout.count {
      let (first, end) = (layout.keyStarts[sequence], layout.keyStarts[sequence + 1])
      for row in layout.queryStarts[sequence]..<layout.queryStarts[sequence + 1] {
        let position = end - first - (layout.queryStarts[sequence + 1] - row)
        let seen = (0..<end - first).filter { options.causal ? $0 <= position && $0 > position - (options.window ?? .max / 2) : true }
        for head in 0..<options.heads {
          let keyHead = head / (options.heads / options.keyValueHeads)
          let part = { (x: [R], row: Int, width: Int, head: Int, size: Int) in
            Array(x[(row * width + head) * size..<(row * width + head + 1) * size])
          }
          result += Definitions.attentionRow(
            part(q, row, options.heads, head, dimension),
            keys: seen.map { part(k, first + $0, options.keyValueHeads, keyHead, dimension) },
            values: seen.map { part(v, first + $0, options.keyValueHeads, keyHead, valueDimension) }, scale: R(options.scale),
            softCap: options.softCap.map { R($0) }, sink: hasSinks ? s[head] : nil)
        }
      }
    }
    return result
  }
}

extension SelfCheck {
  static var attentionCases: [AttentionCase] {
    let plain = AttentionOptions(heads: 2, keyValueHeads: 2, headDimension: 16, scale: 0.25)
    let grouped = AttentionOptions(heads: 6, keyValueHeads: 2, headDimension: 8, scale: 0.35)
    let odd = AttentionOptions(heads: 2, keyValueHeads: 1, headDimension: 13, scale: 0.3, valueDimension: 7)
    let window = AttentionOptions(heads: 2, keyValueHeads: 1, headDimension: 16, scale: 0.25, window: 5)
    let capped = AttentionOptions(heads: 2, keyValueHeads: 2, headDimension: 16, scale: 0.5, window: 40, softCap: 2)
    let open = AttentionOptions(heads: 2, keyValueHeads: 1, headDimension: 16, scale: 0.25, causal: false)
    return [
      AttentionCase(name: "attention 64", options: plain, layout: SequenceLayout(lengths: [64])),
      AttentionCase(name: "attention packed", options: grouped, layout: SequenceLayout(lengths: [33, 1, 0, 127, 5])),
      AttentionCase(name: "attention odd heads", options: odd, layout: SequenceLayout(lengths: [40, 9])),
      AttentionCase(name: "attention window", options: window, layout: SequenceLayout(lengths: [33, 3, 150])),
      AttentionCase(name: "attention capped", options: capped, layout: SequenceLayout(lengths: [130]), hasSinks: true),
      AttentionCase(name: "attention sinks", options: grouped, layout: SequenceLayout(lengths: [33, 70]), hasSinks: true),
      AttentionCase(name: "attention both ways", options: open, layout: SequenceLayout(lengths: [70, 2])),
      AttentionCase(
        name: "attention behind a cache", options: grouped, layout: SequenceLayout(queryStarts: [0, 1, 8], keyStarts: [0, 140, 190])),
      AttentionCase(name: "attention of nothing", options: plain, layout: SequenceLayout(lengths: [])),
    ]
  }

  /// Attention: every option, packed sequences, more keys than queries.
  public static let attention: [SelfCheck] = attentionCases.map { item in
    SelfCheck(item.name) {
      [parity(item.name, singles(item.run(item.inputs)), truth: item.definition(doubles), naive: item.definition(singles))]
        + GradientCheck(item.name, item.inputs) { [item.run($0)] }.run()
    }
  }
}
