import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore

/// A token that a step has generated.
public struct TokenEvent: Sendable {
  /// The sequence's number.
  public let sequence: Int
  /// The new token's id.
  public let token: Int32
  /// Its log-probability in the model's own distribution (before temperature and filters).
  public let logProbability: Float
  /// Why the sequence ended with this token; nil where it goes on.
  public let finishReason: FinishReason?
}

/// How much an engine does at once.
public struct EngineOptions: Sendable {
  /// Sequences in one forward pass at most.
  public var maximumSequences = 64
  /// Tokens in one forward pass at most: longer prompts are computed in pieces.
  public var maximumTokens = 512
  /// Tokens whose keys and values may be kept at once, over all sequences.
  public var cacheTokens = 1 << 20

  /// The defaults.
  public init() {}
}

/// Generates for many requests at once: every step is one forward pass over one token of each generating sequence and pieces of waiting
/// prompts. What a request gets never depends on what else runs: not the model's bits, not the random numbers.
///
/// Not for use from several threads at once.
public final class Engine {
  private var runner: ModelRunner
  private var scheduler: Scheduler
  private var sequences: [Int: TokenSequence] = [:]
  private var nextID = 0
  private var weightsVersion: Int
  private let sampler = Sampler()

  /// An engine over a model. The model may be trained between steps: sequences under way are computed again with the new weights.
  public init(model: CausalLM, options: EngineOptions = EngineOptions()) {
    runner = ModelRunner(model: model)
    let blocks = BlockManager(capacity: max(1, BlockManager.blocks(for: options.cacheTokens)))
    scheduler = Scheduler(maximumSequences: options.maximumSequences, maximumTokens: options.maximumTokens, blocks: blocks)
    weightsVersion = Engine.version(of: model)
  }

  /// Whether a sequence waits or runs.
  public var hasWork: Bool { scheduler.hasWork }
  /// Blocks of the cache that are reserved now; 0 when nothing runs.
  public var usedBlocks: Int { scheduler.usedBlocks }

  /// Takes a request and returns its sequence, which the following steps fill.
  /// - Precondition: the prompt has at least one token.
  @discardableResult
  public func add(_ request: GenerationRequest) -> TokenSequence {
    precondition(!request.prompt.isEmpty, "a prompt of no tokens: at least one is wanted")
    let sequence = TokenSequence(id: nextID, request: request)
    nextID += 1
    if sequence.finishReason == nil {
      sequences[sequence.id] = sequence
      scheduler.add(sequence)
    }
    return sequence
  }

  /// Takes a request back; its cache is free from the next step on.
  public func cancel(_ id: Int) {
    sequences[id]?.cancel()
    collect()
  }

  /// One forward pass; returns the tokens that it gave, in the order of the pass. Empty where the pass only read prompts, or nothing runs.
  public func step() -> [TokenEvent] {
    forgetOldWeights()
    runner.forgetStale(scheduler.running)
    let pass = scheduler.next()
    guard !pass.isEmpty else { return [] }
    let completing = pass.filter(\.completes).map(\.sequence)
    guard let logits = runner.logits(pass) else { return [] }
    sampler.draw(logits, for: completing)
    collect()
    return completing.map { sequence in
      TokenEvent(
        sequence: sequence.id, token: sequence.tokens.last ?? 0, logProbability: sequence.logProbabilities.last ?? 0,
        finishReason: sequence.finishReason)
    }
  }

  /// Generates for all requests and returns their sequences in the same order. `each` sees every token as it comes; false ends its
  /// sequence.
  public func run(_ requests: [GenerationRequest], each: (TokenEvent) -> Bool = { _ in true }) -> [TokenSequence] {
    let added = requests.map(add)
    while added.contains(where: { $0.finishReason == nil }) {
      for event in step() where !each(event) { cancel(event.sequence) }
    }
    return added
  }

  private func collect() {
    for sequence in scheduler.removeFinished() { runner.release(sequence) }
    sequences = sequences.filter { $0.value.finishReason == nil }
  }

  private func forgetOldWeights() {
    let version = Engine.version(of: runner.model)
    guard version != weightsVersion else { return }
    weightsVersion = version
    for sequence in scheduler.running { runner.forget(sequence) }
  }

  /// Goes up with every change of any weight.
  private static func version(of model: CausalLM) -> Int { model.parameters.reduce(0) { $0 &+ $1.version } }
}
