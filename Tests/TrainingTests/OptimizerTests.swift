import SwiftletFormats
import SwiftletLayers
import SwiftletOps
import SwiftletOptimizers
import SwiftletTensorCore
import TestSupport
import Testing

@Suite struct OptimizerTests {
  /// Norms and biases do not decay; a parameter without a gradient does.
  @Test func decay() {
    func parameter(_ name: String) -> Parameter {
      let parameter = Parameter(name: name, shape: [2], value: Tensor([Float(1), -2], [2]))
      parameter.makeTrainable()
      return parameter
    }
    let names = ["a.q_proj.weight", "a.input_layernorm.weight", "a.q_proj.bias", "a.q_norm.weight", "a.q_proj.lora_A.weight"]
    let parameters = names.map(parameter)
    AdamWOptimizer(parameters, AdamWOptions(learningRate: 0.1, weightDecay: 0.5)).update(learningRate: 0.1, gradientScale: 1)
    for parameter in parameters {
      let decays = !parameter.name.contains("norm") && !parameter.name.contains("bias")
      #expect(abs(parameter.value.floats[0] - (decays ? 0.95 : 1)) < 1e-6, "\(parameter.name)")
    }
  }

  /// A step clips to the norm, and leaves everything as it is where the norm is not finite.
  @Test func steps() {
    let parameter = Parameter(name: "w", shape: [2], value: Tensor([Float(1), -2], [2]))
    parameter.makeTrainable()
    let optimizer = AdamWOptimizer([parameter], AdamWOptions(learningRate: 0.1))
    parameter.gradient = Tensor([Float(3), 4], [2])
    let first = optimizer.step(learningRate: 0.1, maximumNorm: 1).values
    #expect(first.norm == 5 && !first.isSkipped && optimizer.updates == 1)
    let values = parameter.value.array(Float.self)
    parameter.gradient = Tensor([Float.infinity, 4], [2])
    #expect(optimizer.step(learningRate: 0.1, maximumNorm: 1).values.isSkipped && optimizer.updates == 1)
    #expect(parameter.value.array(Float.self) == values)
  }

  /// The loss scale halves at a step that is not finite and doubles after enough good ones.
  @Test func lossScaling() {
    var scaling = LossScaling(scale: 4, growthInterval: 2)
    scaling.note(isFinite: true)
    scaling.note(isFinite: false)
    scaling.note(isFinite: true)
    #expect(scaling.scale == 2)
    scaling.note(isFinite: true)
    #expect(scaling.scale == 4 && scaling.goodSteps == 0)
    for _ in 0..<9 { scaling.note(isFinite: false) }
    #expect(scaling.scale == 1)
  }

  /// The dynamic 8-bit formats are those of bitsandbytes; its AdamW gives the same parameters and, but for a code here and there, states.
  @Test func eightBit() throws {
    let folder = Fixtures.root.appending(path: "quant")
    guard Fixtures.exists(folder.appending(path: "optim_8bit.json")) else { return print("skipped: \(folder.path) is not there") }
    let file = try ReferenceTensors(folder.appending(path: "optim_8bit.safetensors"))
    #expect(try difference(DynamicMap.signed.values, file.floats("qmap1_signed"), absolute: 0) == nil)
    #expect(try difference(DynamicMap.unsigned.values, file.floats("qmap2_unsigned"), absolute: 0) == nil)
    var cases = 0
    for (run, json) in try Fixtures.json(folder.appending(path: "optim_8bit.json")).object ?? JSONObject() where run.hasPrefix("adamw8bit")
    {
      for (name, dtype) in json["dtypes"]?.object ?? JSONObject() {
        cases += 1
        try check(run, name, json, file, isBFloat16: dtype.string == "torch.bfloat16")
      }
    }
    #expect(cases > 0)
    print("8-bit AdamW: \(cases) cases")
  }

  private func check(_ run: String, _ name: String, _ json: JSON, _ file: ReferenceTensors, isBFloat16: Bool) throws {
    var options = AdamWOptions()
    let hyper = json["hyper"]
    options.learningRate = try #require(hyper?["lr"]?.double)
    options.weightDecay = try #require(hyper?["weight_decay"]?.double)
    options.epsilon = try #require(hyper?["eps"]?.double)
    options.beta1 = try #require(hyper?["betas"]?.array?[0].double)
    options.beta2 = try #require(hyper?["betas"]?.array?[1].double)
    let prefix = "\(run).\(name)"
    let initial = try file.floats("\(prefix).init")
    let parameter = Parameter(name: name, shape: [initial.count], value: Tensor(initial, [initial.count]))
    parameter.makeTrainable()
    let optimizer = AdamW8bitOptimizer([parameter], options)
    let gradients = try file.floats("\(prefix).grads")
    for step in 1...gradients.count / initial.count {
      parameter.gradient = Tensor(Array(gradients[(step - 1) * initial.count..<step * initial.count]), [initial.count])
      optimizer.update(learningRate: options.learningRate, gradientScale: 1)
      if isBFloat16 { parameter.update { value in for i in 0..<value.count { value.floats[i] = BFloat16(value.floats[i]).float } } }
      guard file.has("\(prefix).param.step\(step)") else { continue }
      let wanted = try file.floats("\(prefix).param.step\(step)")
      let differs = difference(parameter.value.array(Float.self), wanted, absolute: 1e-4)
      #expect(differs == nil, "\(prefix) step \(step): \(differs ?? "")")
      for (own, theirs) in [("m.absmax", "absmax1"), ("v.absmax", "absmax2")] where file.has("\(prefix).\(theirs).step\(step)") {
        let state = try #require(optimizer.state.first { $0.name == "\(name).\(own)" })
        #expect(
          try difference(state.tensor.array(Float.self), file.floats("\(prefix).\(theirs).step\(step)"), absolute: 0, relative: 1e-5) == nil
        )
      }
    }
  }
}
