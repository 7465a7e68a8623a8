import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore
import Testing

/// What must not change a bit of the result: checkpointing, other rows in the batch, the cache, the order of making.
@Suite struct InvarianceTests {
  @Test func checkpointingChangesNoBit() throws {
    var lora = LoRA(rank: 4, alpha: 8, dropout: 0.3)
    for family in TinyModels.configs.keys.sorted() {
      for usesDoRA in [false, true] {
        lora.useDoRA = usesDoRA
        let results = try Checkpointing.allCases.map { try gradients(family, lora, $0) }
        #expect(results[0].loss == results[1].loss, "\(family)")
        #expect(results[0].gradients == results[1].gradients, "\(family)")
      }
    }
  }

  /// Replayed blocks whose projections take some tokens at a time: the same loss, and gradients but for the order of sums over tokens.
  @Test func tilesChangeOnlyTheOrderOfSums() throws {
    for family in TinyModels.configs.keys.sorted() {
      var lora = LoRA(rank: 4, alpha: 8, dropout: 0.3)
      for usesDoRA in [false, true] {
        lora.useDoRA = usesDoRA
        let whole = try gradients(family, lora, .everyBlock)
        // 25 tokens: in fours and one, and all in one tile.
        let tiled = try gradients(family, lora, .everyBlock, tileRows: 1)
        #expect(whole.loss == tiled.loss, "\(family)")
        for (one, other) in zip(whole.gradients, tiled.gradients) {
          let largest = one.reduce(0) { max($0, abs($1)) }
          #expect(one.count == other.count && zip(one, other).allSatisfy { abs($0 - $1) <= 2e-6 * largest }, "\(family)")
        }
        #expect(try gradients(family, lora, .everyBlock, tileRows: 1).gradients == tiled.gradients, "\(family)")
        #expect(try gradients(family, lora, .everyBlock, tileRows: 7).gradients == whole.gradients, "\(family)")
      }
    }
  }

  private func gradients(
    _ family: String, _ lora: LoRA, _ checkpointing: Checkpointing, tileRows: Int? = nil
  ) throws -> (loss: Float, gradients: [[Float]]) {
    let model = try TinyModels.adapted(family, lora)
    let (ids, lengths) = (TinyModels.ids(25), [11, 14])
    let tape = Tape()
    let context = ForwardContext(lengths: lengths, tape: tape, checkpointing: checkpointing, dropoutRandom: Random(seed: 4).split(2))
    context.tileRows = tileRows
    let (sum, count) = model.loss(ids: ids, targets: shiftedTargets(labels: ids, lengths: lengths), context)
    tape.backward(from: sum, seed: Tensor([1 / Float(count)], [1]))
    return (sum.array()[0], model.trainableParameters.map { $0.gradient?.array() ?? [] })
  }

  @Test func dropoutDrawsBySeedStepAndModule() throws {
    let model = try TinyModels.adapted("llama", LoRA(rank: 4, alpha: 8, dropout: 0.5))
    let ids = TinyModels.ids(12)
    func hidden(_ random: Random?) -> [Float] { model.hidden(ids: ids, ForwardContext(lengths: [12], dropoutRandom: random)).array() }
    let first = hidden(Random(seed: 4).split(0))
    #expect(first == hidden(Random(seed: 4).split(0)))
    #expect(first != hidden(Random(seed: 4).split(1)))
    #expect(first != hidden(Random(seed: 5).split(0)))
    #expect(first != hidden(nil))
  }

  @Test func otherRowsOfTheBatchChangeNoBit() throws {
    for family in TinyModels.configs.keys.sorted() {
      let model = try TinyModels.make(family)
      let rows = [7, 1, 12].enumerated().map { TinyModels.ids($0.element, seed: UInt64($0.offset)) }
      let together = model.hidden(ids: rows.flatMap { $0 }, ForwardContext(lengths: rows.map(\.count))).array(Float.self)
      let alone = rows.flatMap { model.hidden(ids: $0, ForwardContext(lengths: [$0.count])).array(Float.self) }
      #expect(together == alone, "\(family)")
    }
  }

  @Test func cacheChangesNoBit() throws {
    for family in TinyModels.configs.keys.sorted() {
      let model = try TinyModels.make(family)
      let rows = [TinyModels.ids(14, seed: 1), TinyModels.ids(10, seed: 2)]
      let whole = rows.map { model.hidden(ids: $0, ForwardContext(lengths: [$0.count])).array(Float.self) }
      #expect(decoded(model, rows, first: [5, 1]) == whole, "\(family)")
    }
  }

  /// Hidden states of two rows, the first tokens at once and the others one by one.
  private func decoded(_ model: CausalLM, _ rows: [[Int32]], first: [Int]) -> [[Float]] {
    let cache = PlainCache()
    var (done, results) = ([0, 0], [[Float]](repeating: [], count: 2))
    var counts = first
    while counts.contains(where: { $0 > 0 }) {
      let queries = [0, counts[0], counts[0] + counts[1]]
      let keys = [0, done[0] + counts[0], done[0] + counts[0] + done[1] + counts[1]]
      let context = ForwardContext(layout: SequenceLayout(queryStarts: queries, keyStarts: keys), cache: cache)
      let ids = (0..<2).flatMap { rows[$0][done[$0]..<(done[$0] + counts[$0])] }
      let hidden = model.hidden(ids: ids, context)
      for row in 0..<2 {
        results[row] += hidden.rows(queries[row]..<queries[row + 1]).array(Float.self)
        done[row] += counts[row]
      }
      counts = (0..<2).map { min(1, rows[$0].count - done[$0]) }
    }
    return results
  }

  @Test func randomWeightsDependOnSeedAndNameOnly() throws {
    let (first, same, other) = (try TinyModels.make("llama"), try TinyModels.make("llama"), try TinyModels.make("llama", seed: 2))
    for (a, b) in zip(first.parameters, same.parameters) { #expect(a.value.array(Float.self) == b.value.array(Float.self)) }
    let wide = try #require(first.linears["model.layers.1.mlp.up_proj"]).weight
    let unlike = try #require(other.linears["model.layers.1.mlp.up_proj"]).weight
    #expect(wide.value.array(Float.self) != unlike.value.array(Float.self))
    let values = wide.value.array(Float.self)
    let deviation = (values.reduce(0) { $0 + $1 * $1 } / Float(values.count)).squareRoot()
    #expect(abs(deviation - 0.3) < 0.03)
    let norm = try #require(first.parameters.first { $0.name == "model.norm.weight" })
    #expect(norm.value.array(Float.self).allSatisfy { $0 == 1 })
    let gemma = try #require(TinyModels.make("gemma2").parameters.first { $0.name == "model.norm.weight" })
    #expect(gemma.value.array(Float.self).allSatisfy { $0 == 0 })
  }

  @Test func shapesAllocateNothing() throws {
    for family in TinyModels.configs.keys.sorted() {
      let config = try ModelConfig(parsing: TinyModels.text(family))
      let shapes = try ModelRegistry.shapes(config: config)
      try shapes.add(LoRA(rank: 2, alpha: 4))
      try shapes.makeAllTrainable()
      #expect((shapes.parameters + shapes.adapterParameters).allSatisfy { !$0.isMaterialized })
      let real = try TinyModels.make(family)
      #expect(shapes.parameters.map(\.name) == real.parameters.map(\.name), "\(family)")
      #expect(shapes.parameters.map(\.shape) == real.parameters.map(\.shape), "\(family)")
    }
  }

  @Test func aNewAdapterChangesNoBit() throws {
    for usesDoRA in [false, true] {
      var lora = LoRA(rank: 4, alpha: 8, targets: .names(["q_proj", "down_proj", "embed_tokens", "lm_head"]))
      if usesDoRA { lora.targets = .allLinear }
      lora.useDoRA = usesDoRA
      let (base, model, ids) = (try TinyModels.make("llama"), try TinyModels.make("llama"), TinyModels.ids(9))
      try model.add(lora, seed: 1)
      func logits(_ model: CausalLM, adapters: Bool = true) -> [Float] {
        let context = ForwardContext(lengths: [9])
        context.usesAdapters = adapters
        return model.logits(hidden: model.hidden(ids: ids, context), context).array()
      }
      let difference = zip(logits(base), logits(model)).map { abs($0 - $1) }.max() ?? 1
      #expect(difference < (usesDoRA ? 1e-4 : 1e-30))
      #expect(logits(base) == logits(model, adapters: false))
    }
  }
}
