import Foundation
import SwiftletCheckpoints
import SwiftletExport
import SwiftletFormats
import SwiftletModels
import SwiftletTensorCore
import Testing

/// 4-bit checkpoints: the bytes that transformers and bitsandbytes write, and the answers of what is read back.
@Suite struct BitsAndBytesTests {
  /// Exporting the base model of each fixture gives the fixture's file, byte for byte.
  @Test func fixturesComeOutAgain() throws {
    try Fixtures.withTemporaryFolder { target in
      for folder in Fixtures.folders("quant", with: "config.json") {
        let name = (folder as NSString).lastPathComponent
        let base = "\(Fixtures.root)/models/\(name.replacingOccurrences(of: "_bnb4bit", with: ""))"
        guard Fixtures.exists(base) else { continue }  // not doubly quantised
        let report = try ModelExport(ModelLoader.load(base), base: base, text: base).write(.bnb4bit(), to: "\(target)/\(name)")
        #expect(report.changed == 0 && report.largestTensorError > 0 && report.json["format"]?.string == "bnb-4bit")
        let (found, wanted) = (try bytes("\(target)/\(name)"), try bytes(folder))
        #expect(found == wanted, "\(name): \(found.count) and \(wanted.count) bytes, or others")
        let (ours, theirs) = (try Fixtures.json("\(target)/\(name)/config.json"), try Fixtures.json(folder + "/config.json"))
        for (key, value) in theirs["quantization_config"]?.object ?? JSONObject() where key != "llm_int8_skip_modules" {
          #expect(ours["quantization_config"]?[key] == value || key == "llm_int8_threshold", "\(name): \(key)")
        }
        #expect(ours["quantization_config"]?["llm_int8_skip_modules"] == .array([.string("lm_head")]))
      }
    }
  }

  private func bytes(_ folder: String) throws -> Data { try Data(contentsOf: URL(filePath: folder + "/model.safetensors")) }

  /// An adapter is merged before the weights are coded; what is read back answers like the model within the codes' error.
  @Test func adaptersAreMerged() throws {
    try Fixtures.withTemporaryFolder { target in
      let model = try ModelLoader.load(Fixtures.tinyLlama, adapter: Fixtures.tinyLlama + "/adapter")
      let export = ModelExport(model, base: Fixtures.tinyLlama, text: Fixtures.tinyLlama)
      let report = try export.write(.bnb4bit(.float16), to: target + "/four")
      #expect(report.changed == 6 && report.comparison.tokens == 64 && report.comparison.meanDivergence < 0.5)
      let loaded = try ModelLoader.load(target + "/four")
      #expect(loaded.parameters.contains { $0.quantized != nil } && loaded.head.weight.quantized == nil)
      // Numbers of float32 models stay dense in 16 bits, and codes say what they are read into.
      #expect(try Fixtures.json(target + "/four/config.json")["quantization_config"]?["bnb_4bit_compute_dtype"]?.string == "float16")
      #expect(loaded.embedding.weight.dtype == .float16)
      // Written again without an adapter, coded weights stay what they are.
      let again = ModelExport(loaded, base: target + "/four", text: nil)
      #expect(try again.write(.bnb4bit(), to: target + "/again").comparison.largest == 0)
      #expect(try bytes(target + "/again") == bytes(target + "/four"))
    }
  }

  @Test func partsOfAMatrixStayInOneFile() throws {
    try Fixtures.withTemporaryFolder { target in
      let model = try ModelLoader.load(Fixtures.tinyLlama)
      var options = ModelFile.Options(source: Fixtures.tinyLlama)
      options.shardBytes = 5_000
      let report = try BitsAndBytesFile.save(model, to: target + "/m", options)
      try ModelFile.verify(target + "/m", report)
      let map = try Fixtures.json(target + "/m/model.safetensors.index.json")["weight_map"]?.object ?? JSONObject()
      var files: [String: Set<String>] = [:]
      for (name, file) in map {
        if let range = name.range(of: ".weight") { files[String(name[..<range.upperBound]), default: []].insert(file.string ?? "") }
      }
      #expect(Set(map.map { $0.value.string ?? "" }).count > 2 && files.values.allSatisfy { $0.count == 1 })
      let bytes = try Fixtures.json(target + "/m/model.safetensors.index.json")["metadata"]?["total_size"]?.int ?? 0
      #expect((bytes...bytes + bytes / 5).contains(try BitsAndBytesFile.byteCount(model, options)))
    }
  }

  @Test func routersStayDense() throws {
    try Fixtures.withTemporaryFolder { target in
      let model = try TinyModels.make("mixtral")
      try BitsAndBytesFile.save(model, to: target + "/m")
      let loaded = try ModelLoader.load(target + "/m")
      #expect(loaded.parameters.filter { $0.name.hasSuffix(".gate.weight") }.allSatisfy { $0.quantized == nil && $0.dtype == .bfloat16 })
      let skipped = try Fixtures.json(target + "/m/config.json")["quantization_config"]?["llm_int8_skip_modules"]
      #expect(skipped == .array([.string("lm_head"), .string("block_sparse_moe.gate")]))
    }
  }
}
