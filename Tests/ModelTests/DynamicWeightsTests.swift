import Foundation
import SwiftletCheckpoints
import SwiftletExport
import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore
import Testing

/// `weights: dynamic4bit`: measured when a model is loaded.
@Suite struct DynamicWeightsTests {
  private static let nestling = Fixtures.packageRoot + "/Nestling/model"

  private func logits(_ model: CausalLM) -> [Float] {
    let ids = (0..<24).map { Int32($0 * 37 % model.vocabularySize) }
    let context = ForwardContext(lengths: [24])
    return model.logits(hidden: model.hidden(ids: ids, context), context).array(Float.self)
  }

  private func kept(_ model: CausalLM) -> Set<String> {
    Set(model.linears.filter { $0.value.weight.quantized == nil && $0.key != "lm_head" }.map(\.key))
  }

  /// What is loaded is what an export writes and another load reads, to the bit; a second load makes the same choice.
  @Test func isWhatAnExportWrites() throws {
    try Fixtures.withTemporaryFolder { target in
      let model = try ModelLoader.load(Self.nestling, as: .dynamic4bit)
      let choice = try FourBitChoice(measuring: Self.nestling)
      #expect(kept(model) == choice.kept && choice.kept.count == 4 && model.placement.fourBit == choice.scheme)
      #expect(choice.divergence < 0.5 * choice.plainDivergence && choice.spentBytes <= choice.budgetBytes && choice.comparison.tokens == 0)
      let export = ModelExport(try ModelLoader.load(Self.nestling), base: Self.nestling, text: Self.nestling)
      let written = try #require(try export.write(.dynamic4bit(), to: target + "/dynamic").choice)
      #expect(written.rows == choice.rows)
      let read = try ModelLoader.load(target + "/dynamic")
      #expect(logits(read) == logits(model))
      // Its table says the same, and spares the measuring.
      let recorded = try #require(try FourBitChoice.scheme(recordedIn: target + "/dynamic"))
      #expect(recorded == choice.scheme && recorded.inputSquares.count == 42)
      let again = try ModelLoader.load(Self.nestling, as: .dynamic4bit, placing: { $0.coding(by: recorded) })
      #expect(logits(again) == logits(model))
      // What is in few bits has lost already what a choice would save.
      try export.write(.gguf(.q8_0), to: target + "/q.gguf")
      for coded in ["/dynamic", "/q.gguf"] {
        let refused = #expect(throws: CheckpointError.self) { try ModelLoader.load(target + coded, as: .dynamic4bit) }
        #expect(refused?.description.contains("weights: stored") == true)
      }
    }
  }

  /// Shards hold the same numbers; what stays is rounded to 16 bits where files have 32.
  @Test func filesOfEveryKind() throws {
    try Fixtures.withTemporaryFolder { target in
      let model = try ModelLoader.load(Fixtures.tinyLlama)
      var options = ModelFile.Options(format: .bfloat16)
      try ModelFile.save(model, to: target + "/one", options)
      options.shardBytes = 20_000
      try ModelFile.save(model, to: target + "/shards", options)
      #expect(Fixtures.exists(target + "/shards/model.safetensors.index.json"))
      let ids = [(0..<40).map { Int32($0 * 7 % model.vocabularySize) }]
      let one = try FourBitChoice(measuring: target + "/one", calibration: ids, budget: 0.3)
      #expect(try FourBitChoice(measuring: target + "/shards", calibration: ids, budget: 0.3) == one && !one.kept.isEmpty)
      let whole = try ModelLoader.load(target + "/one", as: .dynamic4bit, placing: { $0.coding(by: one.scheme) })
      #expect(try logits(ModelLoader.load(target + "/shards", as: .dynamic4bit, placing: { $0.coding(by: one.scheme) })) == logits(whole))
      try ModelFile.save(model, to: target + "/wide", ModelFile.Options(format: .float32))
      let wide = try ModelLoader.load(target + "/wide", as: .dynamic4bit, placing: { $0.coding(by: one.scheme) })
      #expect(kept(wide) == one.kept && one.kept.allSatisfy { wide.linears[$0]?.weight.dtype == .bfloat16 })
      // A GGUF file in 16 bits is measured, too.
      let export = ModelExport(try ModelLoader.load(target + "/one"), base: target + "/one", text: nil)
      try export.write(.gguf(.bf16), to: target + "/m.gguf")
      #expect(try FourBitChoice(measuring: target + "/m.gguf", calibration: ids, budget: 0.3) == one)
    }
  }

  /// All experts of a block stay together, also where files stack them.
  @Test func mixtures() throws {
    try Fixtures.withTemporaryFolder { target in
      for (family, experts) in [("mixtral", "model.layers.0.block_sparse_moe.experts"), ("gpt_oss", "model.layers.0.mlp.experts")] {
        let folder = target + "/" + family
        try ModelFile.save(TinyModels.make(family), to: folder, ModelFile.Options(format: .bfloat16))
        let choice = try FourBitChoice(measuring: folder, budget: 10)
        #expect(choice.kept.contains(experts), "\(choice.kept)")
        let all = try ModelLoader.load(folder, as: .dynamic4bit, placing: { $0.coding(by: choice.scheme) })
        let stored = try ModelLoader.load(folder)
        #expect(all.parameters.allSatisfy { $0.quantized == nil } && logits(all) == logits(stored))
        let some = try ModelLoader.load(folder, as: .dynamic4bit, placing: { $0.coding(by: FourBitScheme(keeping: [experts])) })
        for (path, linear) in some.linears where path.contains(".experts.") {
          #expect((linear.weight.quantized == nil) == path.hasPrefix(experts + "."), "\(path)")
        }
      }
    }
  }

  /// What a table or a caller may say wrong is an error that says what to do.
  @Test func refusals() throws {
    try Fixtures.withTemporaryFolder { target in
      let strange = #expect(throws: CheckpointError.self) {
        try ModelLoader.load(
          Fixtures.tinyLlama, as: .dynamic4bit, placing: { $0.coding(by: FourBitScheme(keeping: ["model.layers.99.mlp.up_proj"])) })
      }
      #expect(strange?.description.contains("model.layers.99.mlp.up_proj") == true)
      for (name, count) in [("model.layers.99.mlp.up_proj.weight", 64), ("model.layers.0.mlp.up_proj.weight", 63), ("lm_head.weight", 64)] {
        let scheme = FourBitScheme(inputSquares: [name: [BFloat16](repeating: BFloat16(1), count: count)])
        let other = #expect(throws: CheckpointError.self) {
          try ModelLoader.load(Fixtures.tinyLlama, as: .dynamic4bit, placing: { $0.coding(by: scheme) })
        }
        #expect(other?.description.contains(name) == true)
      }
      for budget in [-1, .nan, 11] {
        #expect(throws: CheckpointError.self) { try FourBitChoice(measuring: Fixtures.tinyLlama, budget: budget) }
      }
      let ids = #expect(throws: CheckpointError.self) { try FourBitChoice(measuring: Fixtures.tinyLlama, calibration: [[1, 1 << 30]]) }
      #expect(ids?.description.contains("\(1 << 30)") == true)
      #expect(try FourBitChoice.scheme(recordedIn: target) == nil)
      for text in [
        "", "[]", "{}", #"{"modules":3}"#, #"{"modules":[{"module":"a"}]}"#, #"{"modules":[{"module":1,"kept":true}]}"#,
        #"{"modules":[],"input_squares":[]}"#, #"{"modules":[],"input_squares":{"a":1}}"#, #"{"modules":[],"input_squares":{"a":"AA=="}}"#,
        #"{"modules":[],"input_squares":{"a":"?"}}"#,
      ] {
        try Data(text.utf8).write(to: URL(fileURLWithPath: target + "/dynamic4bit.json"))
        #expect(throws: (any Error).self, "\(text)") { try FourBitChoice.scheme(recordedIn: target) }
      }
      try ModelFile.save(ModelLoader.load(Fixtures.tinyLlama), to: target + "/m", ModelFile.Options(format: .float32))
      let file = target + "/m/model.safetensors"
      var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
      bytes.replaceSubrange(bytes.count - 4..<bytes.count, with: [0, 0, 0xC0, 0x7F])
      try bytes.write(to: URL(fileURLWithPath: file))
      // A number that is none does not end the process, wherever it stands.
      _ = try? FourBitChoice(measuring: target + "/m")
    }
  }

  /// Formats that no weight has, by changing one word of the header, and a norm that is no number.
  @Test func whatIsNoWeightIsRefused() throws {
    try Fixtures.withTemporaryFolder { target in
      func changed(_ name: String, _ change: (_ header: inout String, _ data: inout [UInt8]) -> Void) throws -> String {
        let folder = target + "/" + name
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for file in try FileManager.default.contentsOfDirectory(atPath: Self.nestling) where !file.hasSuffix(".safetensors") {
          try FileManager.default.copyItem(atPath: Self.nestling + "/" + file, toPath: folder + "/" + file)
        }
        let bytes = try Array(Data(contentsOf: URL(filePath: Self.nestling + "/model.safetensors")))
        let length = (0..<8).reduce(0) { $0 | Int(bytes[$1]) << (8 * $1) }
        var header = String(decoding: bytes[8..<8 + length], as: UTF8.self)
        var data = Array(bytes[(8 + length)...])
        change(&header, &data)
        #expect(header.utf8.count == length)
        try Data(bytes[..<8] + Array(header.utf8) + data).write(to: URL(filePath: folder + "/model.safetensors"))
        return folder
      }
      // As wide, but integers.
      for weight in ["model.layers.1.mlp.up_proj.weight", "model.norm.weight"] {
        let folder = try changed(weight) { header, _ in
          guard let place = header.range(of: "\"\(weight)\""),
            let word = header.range(of: "\"BF16\"", range: place.upperBound..<header.endIndex)
          else { return }
          header.replaceSubrange(word, with: "\"I16\" ")
        }
        for weights in [WeightPrecision.stored, .nf4, .dynamic4bit] {
          #expect(throws: (any Error).self, "\(weight) \(weights)") { try ModelLoader.load(folder, as: weights) }
        }
      }
      let damaged = try changed("nan") { header, data in
        guard let place = header.range(of: "\"model.norm.weight\""),
          let offsets = header.range(of: "\"data_offsets\":[", range: place.upperBound..<header.endIndex)
        else { return }
        let start = Int(header[offsets.upperBound...].prefix { $0.isNumber }) ?? 0
        (data[start], data[start + 1]) = (0xc0, 0x7f)
      }
      let error = #expect(throws: (any Error).self) { try ModelLoader.load(damaged, as: .dynamic4bit) }
      #expect(error.map { "\($0)".contains("not finite") } == true)
    }
  }
}
