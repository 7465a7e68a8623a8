import SwiftletFormats
import SwiftletInference
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore
import Testing

@Suite struct EngineTests {
  /// A random Llama of two layers whose logits are far enough apart to choose between.
  static func model(_ extra: [(String, JSON)] = [], type: String = "llama") throws -> CausalLM {
    let config = JSONObject(
      [
        ("model_type", .string(type)), ("vocab_size", .int(61)), ("hidden_size", .int(32)), ("intermediate_size", .int(48)),
        ("num_hidden_layers", .int(2)), ("num_attention_heads", .int(4)), ("num_key_value_heads", .int(2)),
        ("max_position_embeddings", .int(512)), ("initializer_range", .number(0.3)), ("tie_word_embeddings", .bool(false)),
      ] + extra)
    return try ModelRegistry.make(config: ModelConfig(config), source: .random(seed: 7))
  }

  private func prompt(_ length: Int, seed: Int = 1) -> [Int32] { (0..<length).map { Int32(($0 * 7 + seed * 13) % 61) } }

  /// Greedy generation by whole forward passes, without a cache.
  private func reference(_ model: CausalLM, _ prompt: [Int32], _ count: Int) -> [Int32] {
    var tokens = prompt
    for _ in 0..<count {
      let context = ForwardContext(lengths: [tokens.count])
      let hidden = model.hidden(ids: tokens, context)
      let logits = model.logits(hidden: selectRows(hidden, [tokens.count - 1]), context).array(Float.self)
      tokens.append(Int32(logits.indices.max { logits[$0] < logits[$1] } ?? 0))
    }
    return Array(tokens.dropFirst(prompt.count))
  }

  private func greedy(_ prompt: [Int32], _ count: Int) -> GenerationRequest {
    var sampling = SamplingOptions()
    sampling.temperature = 0
    return GenerationRequest(prompt: prompt, maximumTokens: count, sampling: sampling)
  }

  @Test func cachedGenerationIsTheWholeForward() throws {
    let model = try Self.model()
    // Past one block of 64, so that the cache has to grow.
    for length in [1, 5, 63, 130] {
      let found = Engine(model: model).run([greedy(prompt(length), 70)])[0]
      #expect(Array(found.generated) == reference(model, prompt(length), 70), "prompt of \(length)")
      #expect(found.finishReason == .length)
    }
  }

  @Test func slidingWindowsAreTheWholeForward() throws {
    let model = try Self.model([("sliding_window", .int(6))], type: "mistral")
    #expect(Array(Engine(model: model).run([greedy(prompt(20), 20)])[0].generated) == reference(model, prompt(20), 20))
  }

  @Test func theBatchChangesNothing() throws {
    let model = try Self.model()
    let requests = (1...5).map { index -> GenerationRequest in
      var request = GenerationRequest(
        prompt: prompt(index * 9, seed: index), maximumTokens: 12, random: Random(seed: 3, stream: UInt64(index)))
      request.sampling.temperature = 1.1
      request.sampling.topK = 20
      return request
    }
    let alone = requests.map { Engine(model: model).run([$0])[0] }
    var small = EngineOptions()
    small.maximumTokens = 7
    small.maximumSequences = 3
    for options in [EngineOptions(), small] {
      for (one, other) in zip(alone, Engine(model: model, options: options).run(requests)) {
        #expect(one.tokens == other.tokens)
        #expect(one.logProbabilities.map(\.bitPattern) == other.logProbabilities.map(\.bitPattern))
      }
    }
    #expect(Set(alone.map { Array($0.generated) }).count > 1)
  }

  @Test func seedsDecide() throws {
    let model = try Self.model()
    func run(_ seed: UInt64) -> [Int32] {
      var request = GenerationRequest(prompt: prompt(4), maximumTokens: 20, random: Random(seed: seed))
      request.sampling.temperature = 1.5
      return Array(Engine(model: model).run([request])[0].generated)
    }
    #expect(run(1) == run(1))
    #expect(run(1) != run(2))
  }

  @Test func stopIDsEndASequence() throws {
    let model = try Self.model()
    let free = Array(Engine(model: model).run([greedy(prompt(4), 20)])[0].generated)
    var request = greedy(prompt(4), 20)
    request.stopIDs = [free[6]]
    let stopped = Engine(model: model).run([request])[0]
    #expect(stopped.finishReason == .stop)
    #expect(Array(stopped.generated) == Array(free.prefix(through: free.firstIndex(of: free[6]) ?? 6)))
  }

  @Test func cancellingFreesTheCache() throws {
    let engine = Engine(model: try Self.model())
    let sequence = engine.add(greedy(prompt(4), 50))
    _ = engine.step()
    #expect(engine.usedBlocks == 1)
    engine.cancel(sequence.id)
    #expect(sequence.finishReason == .cancelled)
    #expect(!engine.hasWork)
    #expect(engine.usedBlocks == 0)
    #expect(engine.step().isEmpty)
  }

  @Test func newWeightsAreUsedFromTheNextStepOn() throws {
    let model = try Self.model()
    let engine = Engine(model: model)
    let sequence = engine.add(greedy(prompt(8), 6))
    for _ in 0..<3 { _ = engine.step() }
    for parameter in model.parameters where parameter.name.contains("v_proj") {
      parameter.update { value in for i in value.floats.indices { value.floats[i] *= -1 } }
    }
    let sofar = sequence.tokens
    while engine.hasWork { _ = engine.step() }
    #expect(Array(sequence.tokens.dropFirst(sofar.count)) == reference(model, sofar, 3))
  }

  @Test func longRoPEIsComputedAgainAtItsBorder() throws {
    let factors: (Double) -> JSON = { factor in .array(Array(repeating: .number(factor), count: 4)) }
    let model = try Self.model(
      [
        ("original_max_position_embeddings", .int(16)),
        (
          "rope_scaling",
          .object(JSONObject([("rope_type", .string("longrope")), ("short_factor", factors(1)), ("long_factor", factors(4))]))
        ),
      ], type: "phi3")
    #expect(Array(Engine(model: model).run([greedy(prompt(10), 16)])[0].generated) == reference(model, prompt(10), 16))
  }
}
