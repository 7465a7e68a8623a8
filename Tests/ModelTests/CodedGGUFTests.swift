import SwiftletCheckpoints
import SwiftletExport
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import Testing

/// Models of GGUF files in block types: their matrices stay coded in memory, and their answers are those of their numbers.
@Suite struct CodedGGUFTests {
  private func logits(_ model: CausalLM) -> [Float] {
    let context = ForwardContext(lengths: [9])
    return model.logits(hidden: model.hidden(ids: TinyModels.ids(9), context), context).array()
  }

  /// Heads whose rows change order, stacks of experts.
  @Test func answersAreThoseOfNumbers() throws {
    try Fixtures.withTemporaryFolder { target in
      for family in ["llama", "qwen3", "mixtral"] {
        let folder = "\(target)/\(family)"
        try ModelFile.save(try TinyModels.make(family), to: folder)
        for type in [GGUFExportType.q4_0, .q8_0] {
          let path = "\(folder)-\(type.rawValue).gguf"
          try ModelExport(try ModelLoader.load(folder), base: folder, text: nil).write(.gguf(type), to: path)
          let (coded, numbers) = (try ModelLoader.load(path), try ModelLoader.load(path, as: .float32))
          #expect(logits(coded) == logits(numbers), "\(family) \(type)")
          let matrices = coded.parameters.filter { $0.quantized != nil }
          #expect(matrices.count > 3 && numbers.parameters.allSatisfy { $0.quantized == nil }, "\(family) \(type)")
          for matrix in matrices {
            // The head of a Q4_0 file has another type.
            let bytes = try #require(matrix.byteCount) * 32 / matrix.shape.count
            #expect(bytes == (type == .q4_0 && matrix.name != "lm_head.weight" ? 18 : 34), "\(family) \(matrix.name)")
          }
        }
      }
    }
  }

  /// Blocks are frozen: whole training is refused in words, an adapter goes on top.
  @Test func blocksAreNotTrained() throws {
    try Fixtures.withTemporaryFolder { target in
      try ModelFile.save(try TinyModels.make("llama"), to: target + "/m")
      let path = target + "/m.gguf"
      try ModelExport(try ModelLoader.load(target + "/m"), base: target + "/m", text: nil).write(.gguf(.q8_0), to: path)
      let model = try ModelLoader.load(path)
      #expect(throws: LoRAError.self) { try model.makeAllTrainable() }
      try model.add(LoRA(rank: 2))
      #expect(!model.trainableParameters.isEmpty)
      try ModelLoader.load(path, as: .float32).makeAllTrainable()
    }
  }
}
