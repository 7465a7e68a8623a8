import SwiftletFormats
import SwiftletLayers
import SwiftletOps
import SwiftletTensorCore

/// A decoder that predicts the next token: embedding, blocks, norm, head. Families differ in how they make these parts.
///
/// Trainer, engine and exporter share one instance; it is used by one task at a time (`@unchecked Sendable`).
public final class CausalLM: @unchecked Sendable {
  /// The parts of a model as a family makes them.
  public struct Parts {
    let embedding: Embedding
    let blocks: [any DecoderBlock]
    let norm: any Norm
    let head: Linear
    let rotaries: [Rotary]
    var softCap: Float?
    var logitScale: Float = 1
    /// How names of tensors begin that a checkpoint may hold beside the model.
    var unused: [String] = []
  }

  /// The config that the model was made from.
  public let config: ModelConfig
  /// The checked sizes.
  public let decoder: DecoderConfig
  /// The token table.
  public let embedding: Embedding
  /// The output projection; shares the table's parameter where tied.
  public let head: Linear
  /// All modules in the order of making.
  public let modules: [any Module]
  /// The adapter's description where one is on.
  public package(set) var lora: LoRA?
  /// Adapters of stacked experts, whose parameters are in `adapterParameters`; those of one path in the order of the stacks in files.
  package var expertAdapters: [ExpertAdapter] = []
  /// Paths of modules that have trained copies of their own (`modules_to_save`).
  public package(set) var savedModules: [String] = []
  /// Where the parameters lie and passes compute, and in which format.
  public let placement: Placement
  private let parts: Parts
  private let rotaryCache = RotaryCache()

  init(config: ModelConfig, decoder: DecoderConfig, parts: Parts, modules: [any Module], placement: Placement) {
    self.placement = placement
    self.config = config
    self.decoder = decoder
    self.parts = parts
    self.modules = modules
    embedding = parts.embedding
    head = parts.head
  }

  /// Number of blocks.
  public var layerCount: Int { parts.blocks.count }
  /// Number of token ids.
  public var vocabularySize: Int { decoder.vocabularySize }

  /// Every parameter of the base model once, named as in Hugging Face files; trained copies stand in the place of what they replace.
  public var parameters: [Parameter] { unique(modules.flatMap(\.parameters)) }

  /// Parameters of adapters, in the order of modules.
  public var adapterParameters: [Parameter] { unique(modules.flatMap { $0.adapter?.parameters ?? [] }) }

  /// Everything that training changes, in a fixed order.
  public var trainableParameters: [Parameter] { (parameters + adapterParameters).filter(\.isTrainable) }

  /// Linear layers by path.
  public var linears: [String: Linear] {
    Dictionary(modules.compactMap { ($0 as? Linear).map { ($0.path, $0) } }, uniquingKeysWith: { first, _ in first })
  }

  /// Trains every parameter but buffers: full fine-tuning. Weights become float32.
  /// - Throws: `LoRAError` where a matrix is quantised: only dense weights are trained, quantised ones take an adapter.
  public func makeAllTrainable() throws {
    if let coded = parameters.first(where: { $0.quantized != nil }) {
      throw LoRAError(
        "\(coded.name) is quantised and cannot be trained itself: put an adapter on it (adapter: {lora: …}), or set model.weights to bfloat16"
      )
    }
    parameters.forEach { if !$0.isBuffer { $0.makeTrainable() } }
  }

  /// Whether a checkpoint may hold a tensor of this name that the model does not use, for example of layers that predict further tokens.
  package func mayIgnore(_ tensor: String) -> Bool { parts.unused.contains { tensor.hasPrefix($0) } }

  /// Drops gathered gradients.
  public func clearGradients() { (parameters + adapterParameters).forEach { $0.gradient = nil } }

  /// Whether cached keys of a sequence are wrong once it has grown from `old` to `new` tokens (LongRoPE's switch): compute it again then.
  public func isCacheStale(from old: Int, to new: Int) -> Bool { parts.rotaries.contains { $0.isStale(from: old, to: new) } }

  /// The hidden states of a token stream after the final norm, `[tokens, hidden]`.
  /// - Parameter ids: the sequences of `context.layout`, one after another.
  /// - Precondition: as many ids as the layout has queries, each in `0 ..< vocabularySize`.
  public func hidden(ids: [Int32], _ context: ForwardContext) -> Tensor {
    var x = embedded(ids: ids, context)
    for index in parts.blocks.indices {
      context.observer?(index, x)
      x = block(index, x, context)
    }
    let output = normalised(x)
    context.observer?(parts.blocks.count, output)
    return output
  }

  /// The first hidden state, `[tokens, hidden]`; the context computes where the model lies from then on.
  package func embedded(ids: [Int32], _ context: ForwardContext) -> Tensor {
    precondition(ids.count == context.positions.count, "\(ids.count) ids for \(context.positions.count) positions")
    precondition(ids.allSatisfy { $0 >= 0 && Int($0) < vocabularySize }, "an id outside of 0 ..< \(vocabularySize)")
    context.device = placement.device
    context.rotaryCache = rotaryCache
    context.computeType = placement.computeType
    let tokens = Tensor(ids, [ids.count], on: placement.device)
    return embedding(context.tape?.carry(tokens) ?? tokens, context)
  }

  /// The output of block number `index`, `[tokens, hidden]`, for its input.
  package func block(_ index: Int, _ x: Tensor, _ context: ForwardContext) -> Tensor {
    let block = parts.blocks[index]
    if !context.checkpointing.replays(index) { return block(x, context) }
    // Where memory comes first: attention's backward is the peak.
    return checkpointed(x, keeping: context.offload, fetchingLate: context.tileRows != nil) { block($0, context) }
  }

  /// The last block's output after the final norm.
  package func normalised(_ x: Tensor) -> Tensor { parts.norm(x) }

  /// The head's weight on `tape`, `[vocabulary, hidden]`.
  public func headWeight(on tape: Tape?) -> LinearWeight { head.weight.weight(on: tape) }

  /// Soft-cap, scale, bias and adapter of the head for a pass.
  public func headOptions(on tape: Tape?, _ context: ForwardContext) -> HeadOptions {
    HeadOptions(
      softCap: parts.softCap, logitScale: parts.logitScale, lora: head.operands(on: tape, context), bias: head.bias?.tensor(on: tape))
  }

  /// Logits `[tokens, vocabulary]`, off tape.
  public func logits(hidden: Tensor, _ context: ForwardContext) -> Tensor {
    headLogits(hidden.detached, headWeight(on: nil), headOptions(on: nil, context))
  }

  /// Summed cross entropy of `targets` (already shifted, −100 is not counted) and how many counted. Logits never exist whole.
  ///
  /// Seed backward with 1 / (tokens of the whole accumulation window), so that 8 × 1 and 1 × 8 give the same gradient.
  public func loss(ids: [Int32], targets: [Int32], _ context: ForwardContext) -> (lossSum: Tensor, count: Int) {
    let x = hidden(ids: ids, context)
    return linearCrossEntropy(x, headWeight(on: context.tape), targets: targets, headOptions(on: context.tape, context))
  }

  /// log p(target) of each token, `[tokens]`, 0 where the target is −100.
  public func logProbabilities(ids: [Int32], targets: [Int32], _ context: ForwardContext) -> Tensor {
    let x = hidden(ids: ids, context)
    return tokenLogProbabilities(x, headWeight(on: context.tape), targets: targets, headOptions(on: context.tape, context))
  }

  private func unique(_ parameters: [Parameter]) -> [Parameter] {
    var seen = Set<ObjectIdentifier>()
    return parameters.filter { seen.insert(ObjectIdentifier($0)).inserted }
  }
}

extension Module {
  /// The adapter of a linear layer or embedding; nil for other modules.
  package var adapter: LoRAAdapter? { (self as? Linear)?.adapter ?? (self as? Embedding)?.adapter }
}

/// Targets of next-token prediction for a stream of sequences: each token's target is its successor's label, the last one's −100.
/// - Parameter labels: one for each token of the stream; −100 is not trained on.
public func shiftedTargets(labels: [Int32], lengths: [Int]) -> [Int32] {
  precondition(labels.count == lengths.reduce(0, +), "\(labels.count) labels for lengths \(lengths)")
  var targets: [Int32] = []
  targets.reserveCapacity(labels.count)
  var start = 0
  for length in lengths where length > 0 {
    targets += labels[(start + 1)..<(start + length)]
    targets.append(-100)
    start += length
  }
  return targets
}
