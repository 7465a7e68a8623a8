import Foundation
import SwiftletCheckpoints
import SwiftletExport
import SwiftletFormats
import SwiftletModels
import SwiftletTensorCore
import Testing

/// Adapters as llama.cpp reads them.
@Suite struct GGUFAdapterTests {
  /// A model in a folder, and the same with an adapter on.
  private func scene(_ family: String, _ lora: LoRA, _ folder: String) throws -> (base: String, model: CausalLM) {
    let base = "\(folder)/\(family)"
    if !Fixtures.exists(base) { try ModelFile.save(try TinyModels.make(family), to: base, .init(format: .float32)) }
    let model = try ModelLoader.load(base)
    try model.add(lora, seed: 3)
    for (index, parameter) in model.adapterParameters.enumerated() {
      parameter.value = .normal(parameter.shape, standardDeviation: 0.2, random: Random(seed: 9, stream: UInt64(index)))
    }
    return (base, model)
  }

  private var adapters: [(String, LoRA)] {
    var (stabilized, patterns, some) = (LoRA(rank: 4, alpha: 8), LoRA(rank: 4, alpha: 6), LoRA(rank: 2, alpha: 0))
    stabilized.useRSLoRA = true
    patterns.rankPattern = ["q_proj": 6]
    patterns.alphaPattern = ["k_proj": 3, "layers.1.mlp.down_proj": 20]
    some.targets = .names(["v_proj", "lm_head"])
    some.alphaPattern = ["v_proj": 5, "lm_head": 1]
    return [("plain", LoRA(rank: 4, alpha: 8)), ("rsLoRA", stabilized), ("patterns", patterns), ("alpha 0 and the head", some)]
  }

  private func numbers(_ file: GGUFFile, _ name: String) throws -> (shape: [Int], values: [Float]) {
    let tensor = try #require(file.tensor(name), "\(name)")
    #expect(tensor.type == .f32, "\(name)")
    let bytes = file.bytes(of: tensor)
    return (
      tensor.shape, (0..<bytes.count / 4).map { Float(bitPattern: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)) }
    )
  }

  /// What llama.cpp adds, alpha / rank · B A of each matrix in its own order of rows, is what merging changes in a GGUF file of the model.
  @Test func sumsAreThoseOfAMerge() throws {
    try Fixtures.withTemporaryFolder { target in
      for family in ["llama", "qwen3", "gemma2", "phi3", "mixtral", "granite"] {
        for (kind, lora) in adapters where kind != "alpha 0 and the head" || family == "llama" {
          let (base, model) = try scene(family, lora, target)
          if family == "gemma2" { continue }  // its config in the tests has no place in a GGUF file
          let place = "\(target)/\(family)-\(kind)"
          let report = try ModelExport(model, base: base, text: nil).write(.adapterGGUF(), to: place + ".gguf")
          #expect(report.comparison.largest < 1e-4 && report.comparison.agreement == 1, "\(family) \(kind): \(report.comparison.largest)")
          try GGUFModelFile.save(model, .f32, source: base, text: [], name: "", to: place + "-merged.gguf")
          try GGUFModelFile.save(ModelLoader.load(base), .f32, source: base, text: [], name: "", to: place + "-base.gguf")
          let (adapter, merged, plain) = (
            try GGUFFile(place + ".gguf"), try GGUFFile(place + "-merged.gguf"), try GGUFFile(place + "-base.gguf")
          )
          #expect(adapter["general.type"]?.string == "adapter" && adapter["adapter.type"]?.string == "lora")
          let alpha = Float(try #require(adapter["adapter.lora.alpha"]?.double))
          var adapted = 0
          for tensor in plain.tensors {
            let (before, after) = (try numbers(plain, tensor.name), try numbers(merged, tensor.name))
            guard adapter.tensor("\(tensor.name).lora_a") != nil else {
              #expect(before.values == after.values, "\(family) \(kind): \(tensor.name) is adapted, and not in the file")
              continue
            }
            adapted += 1
            let (a, b) = (try numbers(adapter, "\(tensor.name).lora_a"), try numbers(adapter, "\(tensor.name).lora_b"))
            let (rank, columns, rows) = (
              b.shape[b.shape.count - 1], a.shape[a.shape.count - 1], b.values.count / b.shape[b.shape.count - 1]
            )
            #expect(a.shape.dropLast(2) == before.shape.dropLast(2) && a.shape[a.shape.count - 2] == rank)
            var largest: Float = 0
            let perExpert = before.shape[before.shape.count - 2]
            for row in 0..<rows {
              for column in 0..<columns {
                let expert = row / perExpert
                let sum = (0..<rank).reduce(Float(0)) { $0 + b.values[row * rank + $1] * a.values[(expert * rank + $1) * columns + column] }
                let place = row * columns + column
                largest = max(largest, abs(before.values[place] + alpha / Float(rank) * sum - after.values[place]))
              }
            }
            #expect(largest < 2e-5, "\(family) \(kind): \(tensor.name) differs by \(largest)")
          }
          #expect(adapted * 2 == adapter.tensors.count && adapted > 0)
        }
      }
    }
  }

  @Test func halfPrecisionIsReported() throws {
    try Fixtures.withTemporaryFolder { target in
      let (base, model) = try scene("llama", LoRA(rank: 4, alpha: 8), target)
      let report = try ModelExport(model, base: base, text: nil).write(.adapterGGUF(.f16), to: target + "/a.gguf")
      #expect(report.largestTensorError > 0 && report.largestTensorError < 1e-3 && report.type == "gguf-f16")
      #expect(report.comparison.largest > 0 && report.comparison.largest < 0.05)
      #expect(try Data(contentsOf: URL(filePath: target + "/a.gguf")).count == GGUFAdapterFile.byteCount(model, .f16, name: "llama"))
    }
  }

  /// What llama.cpp would leave out is refused by name, before anything is written.
  @Test func refused() throws {
    try Fixtures.withTemporaryFolder { target in
      var (dora, saved, table, some) = (LoRA(rank: 2), LoRA(rank: 2), LoRA(rank: 2), LoRA(rank: 2))
      dora.useDoRA = true
      saved.modulesToSave = ["lm_head"]
      table.targets = .names(["embed_tokens", "q_proj"])
      some.targets = .pattern(#".*experts\.[01]\.w1"#)
      for (family, lora, word) in [
        ("llama", dora, "DoRA"), ("llama", saved, "lm_head"), ("llama", table, "embed_tokens"), ("mixtral", some, "experts"),
      ] {
        let (base, model) = try scene(family, lora, target)
        let error = #expect(throws: CheckpointError.self) {
          try ModelExport(model, base: base, text: nil).write(.adapterGGUF(), to: target + "/a.gguf")
        }
        #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
        #expect(!Fixtures.exists(target + "/a.gguf"))
      }
    }
  }

  /// Files that are no adapter for the model at hand.
  @Test func wrongFiles() throws {
    try Fixtures.withTemporaryFolder { target in
      let (base, model) = try scene("llama", LoRA(rank: 4, alpha: 8), target)
      try ModelExport(model, base: base, text: nil).write(.adapterGGUF(), to: target + "/a.gguf")
      try GGUFModelFile.save(ModelLoader.load(base), .f32, text: [], name: "", to: target + "/m.gguf")
      let (_, other) = try scene("llama", LoRA(rank: 6, alpha: 8), target)
      for (file, model) in [("a.gguf", other), ("m.gguf", model), ("none.gguf", model)] {
        #expect(throws: (any Error).self, "\(file)") { try GGUFAdapterFile.load(target + "/" + file, into: model) }
      }
    }
  }
}
