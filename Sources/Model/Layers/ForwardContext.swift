import SwiftletOps
import SwiftletTensorCore

/// Which blocks are computed again in backward instead of keeping what they save.
public enum Checkpointing: Hashable, Sendable, CaseIterable {
  case none, everyBlock
  /// So many of the first blocks. What the last ones keep is given back before the others are computed again.
  case first(Int)

  /// One of each kind.
  public static var allCases: [Checkpointing] { [.none, .everyBlock, .first(1)] }

  /// Whether block number `block` is computed again.
  public func replays(_ block: Int) -> Bool {
    switch self {
    case .none: false
    case .everyBlock: true
    case .first(let count): block < count
    }
  }
}

/// What a pass through a model knows besides the tokens: where sequences start, positions, the cache in inference, and how to train.
///
/// One context serves one pass (rotary tables are kept for its life). The same forward trains, prefills and decodes.
public final class ForwardContext {
  /// Where each sequence starts in the stream of queries and of keys.
  public let layout: SequenceLayout
  /// The position of each query token in its sequence, from 0.
  public let positions: [Int32]
  /// The tape that records the pass; nil in inference.
  public let tape: Tape?
  /// Keys and values of earlier tokens; nil in training and in scoring.
  public let cache: (any KeyValueCache)?
  /// Which blocks are replayed in backward.
  public var checkpointing: Checkpointing
  /// Where the inputs of replayed blocks wait for backward.
  public var offload = SavePlacement.device
  /// The stream that dropout draws from, already split by step and micro-batch; nil switches dropout off.
  public var dropoutRandom: Random?
  /// How many tokens of a replayed block go through its wide parts together: on a GPU the middle of an MLP, four times as many the projections into
  /// attention; nil for all. Fewer cost less memory.
  public var tileRows: Int?
  /// The token that a part of a batch begins with, while one is computed.
  private var firstRow = 0
  /// Whether adapters take part; false gives the base model.
  public var usesAdapters = true
  /// The length of each sequence that rotary scalings depending on it (dynamic, longrope) go by. Default: its number of keys.
  public var ropeLengths: [Int]
  /// Sees each hidden state: 0 is the embedding, k the output of block k, the last one after the final norm.
  public var observer: ((_ index: Int, _ hidden: Tensor) -> Void)?
  /// Sees the input of every linear layer, [tokens, in], just before it is used.
  package var inputObserver: ((_ layer: Linear, _ input: Tensor) -> Void)?
  /// Where the pass computes.
  public var device = Device.cpu
  /// The format of activations.
  public var computeType = DType.float32
  /// The model's tables on a GPU.
  public var rotaryCache: RotaryCache?
  private var rotaryTables: [ObjectIdentifier: (cos: Tensor, sin: Tensor)] = [:]

  /// A pass over `layout`. Positions run from the first key of each sequence: query i of a sequence with nq queries and nk keys stands
  /// at nk − nq + i.
  public init(
    layout: SequenceLayout, tape: Tape? = nil, cache: (any KeyValueCache)? = nil, checkpointing: Checkpointing = .none,
    dropoutRandom: Random? = nil
  ) {
    self.layout = layout
    self.tape = tape
    self.cache = cache
    self.checkpointing = checkpointing
    self.dropoutRandom = dropoutRandom
    let sequences = layout.queryStarts.indices.dropLast().map { i in
      (queries: layout.queryStarts[i + 1] - layout.queryStarts[i], keys: layout.keyStarts[i + 1] - layout.keyStarts[i])
    }
    positions = sequences.flatMap { sequence in (0..<sequence.queries).map { Int32(sequence.keys - sequence.queries + $0) } }
    ropeLengths = sequences.map(\.keys)
  }

  /// A pass over whole sequences of these lengths: training, scoring, prefill.
  public convenience init(
    lengths: [Int], tape: Tape? = nil, cache: (any KeyValueCache)? = nil, checkpointing: Checkpointing = .none, dropoutRandom: Random? = nil
  ) {
    self.init(
      layout: SequenceLayout(lengths: lengths), tape: tape, cache: cache, checkpointing: checkpointing, dropoutRandom: dropoutRandom)
  }

  /// The rotary tables of this pass, made once for each `Rotary`.
  func tables(_ rotary: Rotary) -> (cos: Tensor, sin: Tensor) {
    let key = ObjectIdentifier(rotary)
    if let known = rotaryTables[key] { return known }
    let made =
      if let rotaryCache, device.isCUDA, !rotary.dependsOnLength {
        rotaryCache.tables(rotary, positions: positions, on: device)
      } else {
        rotary.tables(positions: positions, starts: layout.queryStarts, lengths: ropeLengths, on: device)
      }
    rotaryTables[key] = made
    return made
  }

  /// Dropout for the module at `path`: its own stream, so that replays and other module orders draw the same numbers.
  func dropout(_ probability: Float, path: String) -> Dropout? {
    guard probability > 0, let dropoutRandom else { return nil }
    var dropout = Dropout(probability: probability, random: dropoutRandom.split(stableHash(path)))
    dropout.firstRow = firstRow
    return dropout
  }

  /// `body` of all of `x`, or some tokens at a time where there is `tileRows` and the block keeps nothing for backward; see `tiled`. Four times as
  /// many as in the middle of an MLP, which is some four times as wide: weights are dequantised as often as there are tiles.
  func inTiles(_ x: Tensor, _ body: @escaping (Tensor) -> [Tensor]) -> [Tensor] {
    guard let tileRows, x.trace?.tape.isReplay ?? true else { return body(x) }
    return tiled(x, rows: 4 * min(tileRows, 1 << 30)) { first, part in
      self.firstRow = first
      defer { self.firstRow = 0 }
      return body(part)
    }
  }
}

/// Keys and values of the sequences of a pass, one store per layer.
public protocol KeyValueCache: AnyObject {
  /// Appends the new rows of all sequences (`layout.queryStarts` says whose they are) to layer `layer` and returns all keys and values of
  /// each sequence, `[keys, keyValueHeads * headDimension]`, new ones last.
  ///
  /// A layer with a `window` never looks back further than that many tokens from each new one; older rows may be left out.
  func append(layer: Int, keys: Tensor, values: Tensor, layout: SequenceLayout, window: Int?) -> (keys: [Tensor], values: [Tensor])
}
