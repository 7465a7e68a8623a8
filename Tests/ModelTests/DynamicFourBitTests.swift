import Foundation
import SwiftletCheckpoints
import SwiftletExport
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore
import Testing

/// 4-bit exports that keep in 16 bits what loses most.
@Suite struct DynamicFourBitTests {
  private static let nestling = Fixtures.packageRoot + "/Nestling/model"

  private func size(_ folder: String) throws -> Int {
    try FileManager.default.attributesOfItem(atPath: folder + "/model.safetensors")[.size] as? Int ?? 0
  }

  /// The project's own model: at least half of the divergence of plain NF4 is gone for at most a tenth more bytes, and what is read back is what
  /// was chosen.
  @Test func halvesTheDivergence() throws {
    try Fixtures.withTemporaryFolder { target in
      let model = try ModelLoader.load(Self.nestling)
      let before = model.parameters.map { $0.value.array(BFloat16.self) }
      let export = ModelExport(model, base: Self.nestling, text: Self.nestling)
      let plain = try export.write(.bnb4bit(), to: target + "/plain")
      let report = try export.write(.dynamic4bit(), to: target + "/dynamic")
      let choice = try #require(report.choice)
      #expect(choice.divergence < 0.5 * choice.plainDivergence, "\(choice.divergence) of \(choice.plainDivergence)")
      #expect(report.comparison.meanDivergence < 0.5 * plain.comparison.meanDivergence, "\(report.text)")
      // What either answers is foretold without writing it.
      #expect(abs(choice.comparison.meanDivergence - report.comparison.meanDivergence) < 1e-4)
      #expect(abs(choice.plainComparison.meanDivergence - plain.comparison.meanDivergence) < 1e-4)
      let (bytes, plainBytes) = (try size(target + "/dynamic"), try size(target + "/plain"))
      #expect(Double(bytes) < 1.1 * Double(plainBytes) && bytes - plainBytes > choice.spentBytes / 2)
      // Measuring leaves the model as it was.
      #expect(model.parameters.map { $0.value.array(BFloat16.self) } == before && model.parameters.allSatisfy { $0.quantized == nil })
      try check(choice, target + "/dynamic")
    }
  }

  /// The config names what is dense in the file, and the table stands beside it.
  private func check(_ choice: FourBitChoice, _ folder: String) throws {
    let loaded = try ModelLoader.load(folder)
    let dense = loaded.linears.filter { $0.value.weight.quantized == nil && $0.key != "lm_head" }.map(\.key)
    #expect(Set(dense) == choice.kept && !dense.isEmpty)
    let skipped = try Fixtures.json(folder + "/config.json")["quantization_config"]?["llm_int8_skip_modules"]
    let names = choice.kept.union(choice.rows.filter(\.isKept).map(\.group))
    #expect(skipped == .array((["lm_head"] + names.sorted()).map { .string($0) }))
    // q, k and v stay in 16 bits together, under the name that vLLM knows them by.
    #expect(names.contains("model.layers.0.self_attn.qkv_proj"))
    for row in choice.rows { #expect(choice.rows.allSatisfy { $0.group != row.group || $0.isKept == row.isKept }, "\(row.group)") }
    var table = try #require(try Fixtures.json(folder + "/dynamic4bit.json").object)
    #expect(table["input_squares"]?.object?.count == 42)
    table["input_squares"] = nil
    #expect(table == choice.json && table["modules"]?.array?.count == 42)
    // What saves most for its bytes comes first.
    let saved = choice.rows.map(\.savedPerMegabyte)
    #expect(saved == saved.sorted(by: >))
  }

  @Test func budgets() throws {
    try Fixtures.withTemporaryFolder { target in
      let export = ModelExport(
        try ModelLoader.load(Self.nestling), base: Self.nestling, text: Self.nestling, calibration: [[5, 6, 7, 8], []])
      let none = try #require(try export.write(.dynamic4bit(budget: 0), to: target + "/none").choice)
      #expect(none.kept.isEmpty && none.spentBytes == 0 && none.tokens == 4)
      let all = try export.write(.dynamic4bit(budget: 10), to: target + "/all")
      #expect(all.choice?.kept.count == 42 && all.comparison.largest == 0 && all.choice?.divergence == 0)
      for budget in [-0.1, .nan, .infinity, 11] {
        #expect(throws: CheckpointError.self) { try export.check(.dynamic4bit(budget: budget), to: target + "/m") }
      }
    }
  }

  /// An adapter is merged before anything is measured, and is on the model again afterwards.
  @Test func adaptersAreMerged() throws {
    try Fixtures.withTemporaryFolder { target in
      let model = try ModelLoader.load(Fixtures.tinyLlama, adapter: Fixtures.tinyLlama + "/adapter")
      let adapters = model.modules.compactMap { ($0 as? Linear)?.adapter.map(ObjectIdentifier.init) }
      let export = ModelExport(model, base: Fixtures.tinyLlama, text: Fixtures.tinyLlama)
      let report = try export.write(.dynamic4bit(.float16, budget: 0.3), to: target + "/d")
      #expect(report.changed == 6 && report.choice?.kept.isEmpty == false)
      #expect(!adapters.isEmpty && model.modules.compactMap { ($0 as? Linear)?.adapter.map(ObjectIdentifier.init) } == adapters)
      // What is in 4 bits already has nothing to choose from.
      try export.write(.bnb4bit(.float16), to: target + "/four")
      let again = ModelExport(try ModelLoader.load(target + "/four"), base: target + "/four", text: nil)
      let repeated = try again.write(.dynamic4bit(.float16), to: target + "/again")
      #expect(repeated.notes.first?.contains("already") == true && repeated.choice?.plainDivergence == 0, "\(repeated.notes)")
      // Of everything in 16 bits, the answers are the merged model's.
      let exact = try export.write(.dynamic4bit(.float16, budget: 10), to: target + "/e")
      #expect(exact.comparison.meanDivergence < 1e-5, "\(exact.text)")
      let plain = try #require(report.choice?.plainComparison.meanDivergence)
      #expect(report.comparison.meanDivergence < plain)
    }
  }

  /// All experts of a block are one line of the table.
  @Test func expertsStandTogether() throws {
    try Fixtures.withTemporaryFolder { target in
      let model = try TinyModels.make("mixtral")
      let export = ModelExport(model, base: nil, text: nil)
      let report = try export.write(.dynamic4bit(budget: 10), to: target + "/m")
      let names = try #require(report.choice?.rows.map(\.module))
      #expect(Set(names).count == names.count && names.contains("model.layers.0.block_sparse_moe.experts"))
      let loaded = try ModelLoader.load(target + "/m")
      #expect(loaded.parameters.allSatisfy { $0.quantized == nil })
      #expect(try report.comparison == export.write(.merged(.bfloat16), to: target + "/dense").comparison)
      #expect(try ModelExport.Format("dynamic4bit", type: "float16") == .dynamic4bit(.float16))
    }
  }
}
