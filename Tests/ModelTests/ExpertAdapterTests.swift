import Foundation
import SwiftletCheckpoints
import SwiftletExport
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore
import Testing

/// LoRA on gpt-oss's experts, which files hold in stacks.
@Suite struct ExpertAdapterTests {
  private static let both = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]

  /// A gpt-oss with noise in every adapter, saved below and loaded from `folder`.
  private func adapted(_ folder: String, _ parameters: [String] = both, _ change: (inout LoRA) -> Void = { _ in }) throws -> CausalLM {
    if !Fixtures.exists(folder) { try ModelFile.save(TinyModels.make("gpt_oss"), to: folder, ModelFile.Options(format: .float32)) }
    var lora = LoRA(rank: 3, alpha: 6, targets: .names(["q_proj"]))
    lora.targetParameters = parameters
    change(&lora)
    let model = try ModelLoader.load(folder)
    try model.add(lora, seed: 3)
    for (index, parameter) in model.adapterParameters.enumerated() {
      let random = Random(seed: 77, stream: UInt64(index))
      parameter.update { value in for i in 0..<value.count { value.floats[i] += 0.2 * (random.uniform(UInt64(i)) - 0.5) } }
    }
    return model
  }

  private func logits(_ model: CausalLM) -> [Float] {
    let context = ForwardContext(lengths: [20])
    return model.logits(hidden: model.hidden(ids: TinyModels.ids(20), context), context).array()
  }

  private func floats(_ tensors: SafetensorsFile, _ name: String) throws -> (numbers: [Float], shape: [Int]) {
    let entry = try #require(tensors[name])
    return (tensors.bytes(of: entry).withMemoryRebound(to: Float.self) { Array($0) }, entry.shape)
  }

  /// The file is PEFT's: what its formula makes of the tensors, einsum("o r e, e r i -> e i o") · alpha / r, is what a merge adds to the stacks.
  @Test func mergesAsTheFormulaSays() throws {
    try Fixtures.withTemporaryFolder { target in
      let model = try adapted(target + "/base")
      try AdapterFile.save(model, to: target + "/adapter", baseModel: target + "/base")
      try ModelExport(model, base: target + "/base", text: nil).write(.merged(.float32), to: target + "/merged")
      let config = try Fixtures.json(target + "/adapter/adapter_config.json")
      #expect(config["target_parameters"]?.array?.compactMap(\.string) == Self.both)
      #expect(config["target_modules"]?.array?.compactMap(\.string) == ["q_proj"])
      let adapter = try SafetensorsFile(target + "/adapter/adapter_model.safetensors")
      let (base, merged) = (
        try SafetensorsFile(target + "/base/model.safetensors"), try SafetensorsFile(target + "/merged/model.safetensors")
      )
      for layer in 0..<model.layerCount {
        let experts = "model.layers.\(layer).mlp.experts"
        // The stack that stands first in the module is wrapped first.
        for (stack, wrapped) in [("gate_up_proj", experts + ".base_layer"), ("down_proj", experts)] {
          let (a, shapeA) = try floats(adapter, "base_model.model.\(wrapped).lora_A.weight")
          let (b, shapeB) = try floats(adapter, "base_model.model.\(wrapped).lora_B.weight")
          let (before, shape) = try floats(base, "\(experts).\(stack)")
          let (after, _) = try floats(merged, "\(experts).\(stack)")
          let (count, inputs, outputs, rank) = (shape[0], shape[1], shape[2], 3)
          #expect(shapeA == [count * rank, inputs] && shapeB == [outputs, rank * count])
          var worst: Float = 0
          for e in 0..<count {
            for i in 0..<inputs {
              for o in 0..<outputs {
                let delta = (0..<rank).reduce(Float(0)) { $0 + b[(o * rank + $1) * count + e] * a[(e * rank + $1) * inputs + i] }
                let at = (e * inputs + i) * outputs + o
                worst = max(worst, abs(before[at] + 2 * delta - after[at]))
              }
            }
          }
          #expect(worst < 1e-6, "\(experts).\(stack): \(worst)")
        }
      }
      #expect(zip(logits(model), logits(try ModelLoader.load(target + "/merged"))).allSatisfy { abs($0 - $1) < 1e-4 })
      // What is read back is what was written, with one stack as well as with both.
      #expect(try logits(ModelLoader.load(target + "/base", adapter: target + "/adapter")) == logits(model))
      let export = ModelExport(model, base: target + "/base", text: nil)
      #expect(try export.write(.adapter, to: target + "/exported").comparison.largest == 0)
      for parameters in [["gate_up_proj"], ["model.layers.1.mlp.experts.down_proj"]] {
        let one = try adapted(target + "/base", parameters) { $0.targets = .names([]) }
        try AdapterFile.save(one, to: target + "/one", baseModel: target + "/base")
        let names = try SafetensorsFile(target + "/one/adapter_model.safetensors").entries.map(\.name)
        #expect(!names.isEmpty && names.allSatisfy { $0.contains(".mlp.experts.lora_") }, "\(names)")
        #expect(try logits(ModelLoader.load(target + "/base", adapter: target + "/one")) == logits(one))
      }
    }
  }

  /// Along its own gradient the loss grows by the gradient's square: A of gate and up gathers from both.
  @Test func gradients() throws {
    try Fixtures.withTemporaryFolder { target in
      let model = try adapted(target + "/base")
      let ids = TinyModels.ids(40)
      func loss(_ tape: Tape?) -> Tensor {
        model.loss(ids: ids, targets: shiftedTargets(labels: ids, lengths: [40]), ForwardContext(lengths: [40], tape: tape)).lossSum
      }
      let tape = Tape()
      tape.backward(from: loss(tape))
      let stacked = model.expertAdapters.flatMap(\.parameters)
      #expect(Set(stacked.map(\.name)).count == stacked.count && stacked.contains { $0.name.hasSuffix("gate_proj.lora_A.weight") })
      #expect(!stacked.contains { $0.name.hasSuffix("up_proj.lora_A.weight") })
      for part in ["gate_proj.lora_A", "gate_proj.lora_B", "up_proj.lora_B", "down_proj.lora_A", "down_proj.lora_B"] {
        let chosen = stacked.filter { $0.name.contains(part) }.compactMap { parameter in
          parameter.gradient.map { (parameter, $0.array(Float.self)) }
        }
        let square = chosen.reduce(Float(0)) { $0 + $1.1.reduce(0) { $0 + $1 * $1 } }
        let step = 0.02 / square.squareRoot()
        func moved(_ factor: Float) -> Float {
          for (parameter, gradient) in chosen {
            parameter.update { value in for i in gradient.indices { value.floats[i] += factor * gradient[i] } }
          }
          return loss(nil).array(Float.self)[0]
        }
        let (up, down) = (moved(step), moved(-2 * step))
        _ = moved(step)
        #expect(square > 0 && abs((up - down) / (2 * step) - square) < 0.02 * square, "\(part): \((up - down) / (2 * step)) and \(square)")
      }
    }
  }

  /// PEFT's own file (`Benchmarks/peers/expert_adapter.py`): the same answers, loss and gradients.
  @Test func equalsPEFT() throws {
    let folder = Fixtures.own + "/models/tiny_gpt_oss"
    let expected = try SafetensorsFile(folder + "/adapter_experts/expected.safetensors")
    let entry = try #require(expected["ids"])
    let ids = expected.bytes(of: entry).withMemoryRebound(to: Int32.self) { Array($0) }
    let model = try ModelLoader.load(folder, as: .float32, adapter: folder + "/adapter_experts")
    let tape = Tape()
    let (sum, count) = model.loss(
      ids: ids, targets: shiftedTargets(labels: ids, lengths: [ids.count]), ForwardContext(lengths: [ids.count], tape: tape))
    #expect(abs(sum.array(Float.self)[0] / Float(count) - (try floats(expected, "loss").numbers[0])) < 1e-5)
    let context = ForwardContext(lengths: [ids.count])
    let found = model.logits(hidden: model.hidden(ids: ids, context), context).array(Float.self)
    #expect(zip(found, try floats(expected, "logits").numbers).allSatisfy { abs($0 - $1) < 1e-4 })
    tape.backward(from: sum)
    var compared = 0
    func compare(_ parameter: Parameter, _ name: String, _ index: (Int, Int) -> Int) throws {
      let (wanted, _) = try floats(expected, "grad.base_model.model." + name)
      // An expert that no token chose has none.
      let own = parameter.gradient.map { $0.array(Float.self) } ?? [Float](repeating: 0, count: parameter.shape.count)
      let columns = parameter.shape[1]
      for i in own.indices { #expect(abs(own[i] / Float(count) - wanted[index(i / columns, i % columns)]) < 1e-5, "\(name)") }
      compared += own.count
    }
    for layer in 0..<model.layerCount {
      let experts = "model.layers.\(layer).mlp.experts"
      for (adapter, path) in zip(model.expertAdapters.filter { $0.path == experts }, [experts + ".base_layer", experts]) {
        let (count, rank) = (adapter.a.count, adapter.a[0].shape[0])
        for expert in 0..<count {
          let inputs = adapter.a[expert].shape[1]
          try compare(adapter.a[expert], path + ".lora_A.weight") { ($0 + expert * rank) * inputs + $1 }
          let turns = adapter.b[expert].count
          for (turn, b) in adapter.b[expert].enumerated() {
            try compare(b, path + ".lora_B.weight") { (($0 * turns + turn) * rank + $1) * count + expert }
          }
        }
      }
    }
    #expect(compared > 1000)
  }

  @Test func refusals() throws {
    try Fixtures.withTemporaryFolder { target in
      #expect(throws: LoRAError.self) { try adapted(target + "/base", ["mlp.experts.up_proj"]) }
      #expect(throws: LoRAError.self) { try adapted(target + "/base") { $0.dropout = 0.1 } }
      #expect(throws: LoRAError.self) { try adapted(target + "/base") { $0.useDoRA = true } }
      var lora = LoRA(rank: 4)
      lora.targetParameters = ["mlp.experts.down_proj"]
      for family in ["mixtral", "qwen3_moe"] {
        let error = #expect(throws: LoRAError.self) { try TinyModels.make(family).add(lora) }
        #expect(error?.description.contains("targets") == true)
      }
      // A file for other ranks is refused with both shapes.
      let model = try adapted(target + "/base")
      try AdapterFile.save(model, to: target + "/adapter", baseModel: nil)
      let path = target + "/adapter/adapter_config.json"
      let text = try String(contentsOfFile: path, encoding: .utf8).replacing("\"r\": 3", with: "\"r\": 5")
      try Data(text.utf8).write(to: URL(fileURLWithPath: path))
      let error = #expect(throws: CheckpointError.self) { try ModelLoader.load(target + "/base", adapter: target + "/adapter") }
      #expect(error?.description.contains("experts.base_layer.lora_A.weight (wanted") == true, "\(error?.description ?? "")")
      // On codes the adapter rides as well.
      let coded = try ModelLoader.load(target + "/base", as: .nf4)
      try coded.add(lora)
      #expect(coded.expertAdapters.count == coded.layerCount && coded.adapterParameters.count > 2 * coded.layerCount)
    }
  }
}
