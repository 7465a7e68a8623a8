import Foundation
import SwiftletCheckpoints
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore
import Testing

/// Every model folder of the fixtures against what transformers and PEFT computed, within the tolerances of their README.
@Suite struct ParityTests {
  @Test func everyModelWithEveryConfig() throws {
    for folder in Fixtures.tiny + Fixtures.folders("models", with: "parity.safetensors") {
      for config in ["config.json", "config_v5.json"] where Fixtures.exists(folder + "/" + config) {
        var comparison = Comparison(folder.split(separator: "/").suffix(1).joined() + "/" + config)
        do { try compareModel(folder, config, &comparison) } catch { comparison.expect(false, "\(error)") }
        report(comparison)
      }
    }
  }

  @Test func everyPEFTVariant() throws {
    for folder in Fixtures.folders("peft_variants", with: "adapter_config.json") {
      var comparison = Comparison(String(folder.split(separator: "/").last ?? ""))
      do { try compareVariant(folder, &comparison) } catch { comparison.expect(false, "\(error)") }
      report(comparison)
    }
  }

  private func report(_ comparison: Comparison) {
    print("\(comparison.name): \(comparison.passed) passed, \(comparison.failures.count) failed, worst \(comparison.worst)")
    #expect(comparison.failures.isEmpty, "\(comparison.failures.prefix(5).joined(separator: "\n"))")
  }

  private func compareModel(_ folder: String, _ config: String, _ comparison: inout Comparison) throws {
    let reference = try Reference(folder + "/parity.safetensors")
    let reader = try CheckpointReader(folder, configName: config)
    try compareForward(try reader.model(), reference, prefix: "", &comparison)
    if Fixtures.exists(folder + "/full_grads.safetensors") {
      let model = try reader.model()
      try model.makeAllTrainable()
      try compareGradients(model, reference, try Reference(folder + "/full_grads.safetensors"), prefix: "", &comparison)
    }
    guard AdapterFile.exists(in: folder + "/adapter") else { return }
    let adapted = try reader.model()
    try AdapterFile.load(folder + "/adapter", into: adapted)
    try compareForward(adapted, reference, prefix: "lora.", &comparison)
    try compareGradients(adapted, reference, reference, prefix: "lora.grad.base_model.model.", &comparison)
  }

  private func compareVariant(_ folder: String, _ comparison: inout Comparison) throws {
    guard let base = try Fixtures.json(folder + "/parity.json")["model"]?.string else { throw CheckpointError(folder, "no base model") }
    let model = try CheckpointReader(Fixtures.root + "/models/" + base).model()
    try AdapterFile.load(folder, into: model)
    let inputs = try Reference(Fixtures.root + "/models/" + base + "/parity.safetensors")
    let reference = try Reference(folder + "/parity.safetensors")
    let full = try Batch(inputs, "full")
    comparison.close("logits", logits(model, full), try reference.floats("full.logits"), 2e-4)
    comparison.close("loss", [try loss(model, try Batch(inputs, "padded"))], try reference.floats("padded.loss"), 2e-5)
    try compareGradients(model, inputs, reference, prefix: "grad.base_model.model.", &comparison)
  }

  private func compareForward(_ model: CausalLM, _ reference: Reference, prefix: String, _ comparison: inout Comparison) throws {
    let full = try Batch(reference, "full")
    let context = ForwardContext(lengths: full.lengths)
    var states: [Int: Tensor] = [:]
    context.observer = { states[$0] = $1.copied() }
    let hidden = model.hidden(ids: full.ids, context)
    comparison.close("logits", model.logits(hidden: hidden, context).array(), try reference.floats(prefix + "full.logits"), 2e-4)
    for (index, state) in states where prefix.isEmpty {
      comparison.close("hidden", state.array(), try reference.floats("full.hidden_states.\(index)"), 2e-4)
    }
    let padded = try Batch(reference, "padded")
    let columns = model.vocabularySize
    let wanted = try reference.floats(prefix + "padded.logits")
    comparison.close("logits", logits(model, padded), padded.places.flatMap { wanted[$0 * columns..<($0 + 1) * columns] }, 2e-4)
    comparison.close("loss", [try loss(model, padded)], try reference.floats(prefix + "padded.loss"), 2e-5)
    if prefix.isEmpty { try compareProbabilities(model, padded, reference, &comparison) }
  }

  private func compareProbabilities(_ model: CausalLM, _ batch: Batch, _ reference: Reference, _ comparison: inout Comparison) throws {
    let targets = shiftedTargets(labels: batch.ids, lengths: batch.lengths)
    let found = model.logProbabilities(ids: batch.ids, targets: targets, ForwardContext(lengths: batch.lengths)).array(Float.self)
    let wanted = try reference.floats("padded.token_logprobs")
    let columns = batch.columns
    let pairs = batch.places.indices.filter { targets[$0] >= 0 }.map { index in
      (found[index], wanted[batch.places[index] / columns * (columns - 1) + batch.places[index] % columns])
    }
    comparison.close("logprobs", pairs.map(\.0), pairs.map(\.1), 1e-4)
  }

  private func compareGradients(
    _ model: CausalLM, _ inputs: Reference, _ reference: Reference, prefix: String, _ comparison: inout Comparison
  ) throws {
    for checkpointing in Checkpointing.allCases {
      model.clearGradients()
      let batch = try Batch(inputs, "padded")
      let tape = Tape()
      let context = ForwardContext(lengths: batch.lengths, tape: tape, checkpointing: checkpointing)
      let (sum, count) = model.loss(ids: batch.ids, targets: shiftedTargets(labels: batch.labels, lengths: batch.lengths), context)
      tape.backward(from: sum, seed: Tensor([1 / Float(count)], sum.shape))
      for parameter in model.trainableParameters {
        let name = try gradientName(parameter, prefix, reference)
        let found = parameter.gradient.map { $0.array(Float.self) } ?? Array(repeating: 0, count: parameter.shape.count)
        comparison.closeGradient(parameter.name, found, try reference.floats(name))
      }
    }
    let wanted = reference.tensors.names.filter { $0.hasPrefix(prefix) }.count
    let found = model.trainableParameters.count
    comparison.expect(prefix.isEmpty || wanted == found, "\(found) trainable tensors, wanted \(wanted)")
  }

  /// PEFT's names in memory differ from those in files for magnitudes and saved modules.
  private func gradientName(_ parameter: Parameter, _ prefix: String, _ reference: Reference) throws -> String {
    let name = prefix + parameter.name
    let leaf = name.split(separator: ".").last.map(String.init) ?? ""
    let candidates = [name, name + ".weight", name.dropLast(leaf.count) + "modules_to_save." + leaf]
    guard let known = candidates.first(where: reference.has) else { throw CheckpointError(name, "no such reference gradient") }
    return known
  }
}

/// Logits of a batch, `[tokens · vocabulary]`.
func logits(_ model: CausalLM, _ batch: Batch) -> [Float] {
  let context = ForwardContext(lengths: batch.lengths)
  return model.logits(hidden: model.hidden(ids: batch.ids, context), context).array()
}

/// Mean cross entropy of a batch.
func loss(_ model: CausalLM, _ batch: Batch) throws -> Float {
  let targets = shiftedTargets(labels: batch.labels, lengths: batch.lengths)
  let (sum, count) = model.loss(ids: batch.ids, targets: targets, ForwardContext(lengths: batch.lengths))
  return sum.array(Float.self)[0] / Float(count)
}
