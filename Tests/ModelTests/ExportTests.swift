import Foundation
import SwiftletCheckpoints
import SwiftletExport
import SwiftletModels
import SwiftletTensorCore
import Testing

/// Exports are read back and compared with the model in memory.
@Suite struct ExportTests {
  private func adapted() throws -> CausalLM { try ModelLoader.load(Fixtures.tinyLlama, adapter: Fixtures.tinyLlama + "/adapter") }

  private func export(_ model: CausalLM, samples: [[Int32]] = []) -> ModelExport {
    ModelExport(model, base: Fixtures.tinyLlama, text: Fixtures.tinyLlama, samples: samples)
  }

  @Test func anAdapterComesBackExactly() throws {
    try Fixtures.withTemporaryFolder { folder in
      let report = try export(adapted()).write(.adapter, to: folder + "/adapter")
      #expect(report.tensors == 12 && report.largestTensorError == 0)
      #expect(report.comparison.largest == 0 && report.comparison.agreement == 1 && report.comparison.tokens == 64)
      #expect(report.json["format"]?.string == "adapter" && report.json["kl"]?.double == 0)
      #expect(Fixtures.exists(folder + "/adapter/generation_config.json"))
      // A second export takes the place of the first.
      try export(adapted()).write(.adapter, to: folder + "/adapter")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["adapter"])
    }
  }

  @Test func roundingIsReported() throws {
    try Fixtures.withTemporaryFolder { folder in
      let rows: [[Int32]] = [[3, 4, 5, 6, 7], [], [9, 8, 7]]
      let wide = try export(adapted(), samples: rows).write(.merged(.float32), to: folder + "/wide")
      let narrow = try export(adapted(), samples: rows).write(.merged(nil), to: folder + "/narrow")
      #expect(wide.comparison.tokens == 8 && narrow.comparison.tokens == 8)
      #expect(wide.largestTensorError == 0 && wide.comparison.largest < 1e-4 && wide.comparison.agreement == 1)
      #expect(narrow.largestTensorError > 1e-5 && narrow.comparison.largest > wide.comparison.largest)
      #expect(narrow.comparison.meanDivergence > 0 && narrow.comparison.meanDivergence < 0.01)
      #expect(wide.changed == 6 && narrow.changed == 6)
    }
  }

  /// In a Hugging Face cache a model's files are links to blobs elsewhere: an export holds the files themselves.
  @Test func linksAreFollowed() throws {
    try Fixtures.withTemporaryFolder { folder in
      let files = FileManager.default
      let nestling = Fixtures.packageRoot + "/Nestling/model"
      for part in ["blobs", "snapshots", "snapshots/1"] {
        try files.createDirectory(atPath: "\(folder)/\(part)", withIntermediateDirectories: true)
      }
      for name in try files.contentsOfDirectory(atPath: nestling) {
        try files.copyItem(atPath: "\(nestling)/\(name)", toPath: "\(folder)/blobs/\(name)")
        try files.createSymbolicLink(atPath: "\(folder)/snapshots/1/\(name)", withDestinationPath: "../../blobs/\(name)")
      }
      let source = folder + "/snapshots/1"
      try ModelExport(try ModelLoader.load(source), base: source, text: source).write(.merged(.bfloat16), to: folder + "/out")
      for name in ["tokenizer.json", "tokenizer_config.json"] {
        #expect(try files.attributesOfItem(atPath: "\(folder)/out/\(name)")[.type] as? FileAttributeType == .typeRegular, "\(name)")
        #expect(files.contents(atPath: "\(folder)/out/\(name)") == files.contents(atPath: "\(nestling)/\(name)"), "\(name)")
      }
    }
  }

  @Test func damageIsFound() throws {
    try Fixtures.withTemporaryFolder { folder in
      let report = try ModelFile.save(adapted(), to: folder + "/m", .init(source: Fixtures.tinyLlama))
      try ModelFile.verify(folder + "/m", report)
      let path = URL(fileURLWithPath: folder + "/m/model.safetensors")
      var bytes = try Data(contentsOf: path)
      bytes[bytes.count - 5] ^= 1
      try bytes.write(to: path)
      #expect(throws: CheckpointError.self) { try ModelFile.verify(folder + "/m", report) }
    }
  }

  @Test func aModelWithoutAdapterHasNoneToExport() throws {
    try Fixtures.withTemporaryFolder { folder in
      let model = try ModelLoader.load(Fixtures.tinyLlama)
      #expect(throws: CheckpointError.self) { try export(model).write(.adapter, to: folder + "/a") }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
      let copy = try export(model).write(.merged(), to: folder + "/m")
      #expect(copy.changed == 0 && copy.comparison.largest == 0)
    }
  }

  @Test func divergenceIsThatOfTheDefinition() {
    var comparison = LogitComparison()
    comparison.add(Tensor([Float]([0, 1, 0, 0]), [2, 2]), Tensor([Float]([0, 0, 2, 1]), [2, 2]))
    let p = [1 / (1 + exp(1.0)), exp(1.0) / (1 + exp(1.0))]
    let first = p[0] * log(p[0] / 0.5) + p[1] * log(p[1] / 0.5)
    let q = [exp(1.0) / (1 + exp(1.0)), 1 / (1 + exp(1.0))]
    let second = 0.5 * log(0.5 / q[0]) + 0.5 * log(0.5 / q[1])
    #expect(abs(comparison.meanDivergence - (first + second) / 2) < 1e-12)
    #expect(comparison.agreement == 0.5 && comparison.largest == 2 && comparison.mean == 1)
  }
}
