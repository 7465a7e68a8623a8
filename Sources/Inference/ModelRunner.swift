import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore

/// Runs the training forward over the tokens of a pass, with caches, and gives logits where a next token is to be drawn.
struct ModelRunner {
  let model: CausalLM
  private var caches: [Int: SequenceCache] = [:]

  init(model: CausalLM) { self.model = model }

  /// Logits of the sequences whose shares complete them, in the order of the pass: `[completing sequences, vocabulary]`; nil where the
  /// pass completes none.
  mutating func logits(_ pass: [ScheduledSequence]) -> Tensor? {
    var ids: [Int32] = []
    var (queries, keys) = ([0], [0])
    var last: [Int] = []
    for share in pass {
      let sequence = share.sequence
      ids += sequence.tokens[sequence.computed..<sequence.computed + share.count]
      queries.append(ids.count)
      keys.append((keys.last ?? 0) + sequence.computed + share.count)
      if share.completes { last.append(ids.count - 1) }
    }
    let context = ForwardContext(
      layout: SequenceLayout(queryStarts: queries, keyStarts: keys), cache: ContiguousCache(pass.map { cache(of: $0.sequence) }))
    // A prompt that is computed in pieces is turned as it would be in one.
    context.ropeLengths = pass.map(\.sequence.tokens.count)
    let hidden = model.hidden(ids: ids, context)
    for share in pass {
      share.sequence.computed += share.count
      share.sequence.turnedLength = share.sequence.tokens.count
    }
    return last.isEmpty ? nil : model.logits(hidden: last.count == ids.count ? hidden : selectRows(hidden, last), context)
  }

  private mutating func cache(of sequence: TokenSequence) -> SequenceCache {
    if let known = caches[sequence.id] { return known }
    let made = SequenceCache(limit: sequence.longest)
    caches[sequence.id] = made
    return made
  }

  /// Forgets what was computed for sequences whose cached keys no longer fit their length.
  mutating func forgetStale(_ sequences: [TokenSequence]) {
    for sequence in sequences where sequence.computed > 0 {
      if model.isCacheStale(from: sequence.turnedLength, to: sequence.tokens.count) { forget(sequence) }
    }
  }

  /// Drops the cache of a sequence that has ended.
  mutating func release(_ sequence: TokenSequence) {
    caches[sequence.id] = nil
  }

  /// Drops what was computed for a sequence, so that all of its tokens become pending again.
  mutating func forget(_ sequence: TokenSequence) {
    caches[sequence.id] = nil
    sequence.computed = 0
  }
}
