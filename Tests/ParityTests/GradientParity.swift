import SwiftletCheckpoints
import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore
import TestSupport

/// Gradients of every trained tensor for the padded batch, through the library: no command prints gradients.
struct GradientParity {
  private let model: ModelsParity

  init(_ model: ModelsParity) { self.model = model }

  func run() {
    if let adapter = model.adapter { adapterGradients(adapter.path, model.numbers, prefix: "lora.grad.") }
    let full = model.folder.appending(path: "full_grads.safetensors")
    guard Fixtures.exists(full) else { return }
    model.tally.check("\(model.name) full gradients") {
      let wanted = try ReferenceTensors(full)
      let network = try ModelLoader.load(model.model.path)
      try network.makeAllTrainable()
      try backward(network)
      return try mismatch(network.trainableParameters, wanted, prefix: "") { $0 }
    }
  }

  /// Compares the gradients of an adapter's tensors with `prefix<name>`, with and without replay in backward.
  func adapterGradients(_ adapter: String, _ wanted: ReferenceTensors, prefix: String) {
    for checkpointing in Checkpointing.allCases {
      model.tally.check("\(model.name) adapter gradients, checkpoint \(checkpointing)") {
        let network = try ModelLoader.load(model.model.path, adapter: adapter)
        try backward(network, checkpointing)
        return try mismatch(network.trainableParameters, wanted, prefix: prefix) { "base_model.model." + $0 }
      }
    }
  }

  private func backward(_ network: CausalLM, _ checkpointing: Checkpointing = .none) throws {
    let rows = try model.rows("padded.")
    let labels = try model.numbers.integers("padded.labels")
    let width = try model.numbers.shape("padded.labels").last ?? 1
    let own = rows.enumerated().flatMap { index, row in labels[index * width..<index * width + row.count].map(Int32.init) }
    let tape = Tape()
    let context = ForwardContext(lengths: rows.map(\.count), tape: tape, checkpointing: checkpointing)
    let targets = shiftedTargets(labels: own, lengths: rows.map(\.count))
    let (sum, count) = network.loss(ids: rows.flatMap { $0.map(Int32.init) }, targets: targets, context)
    tape.backward(from: sum, seed: Tensor([1 / Float(count)], [1]))
  }

  /// Every tensor that the reference names must have its gradient, and no other one.
  private func mismatch(
    _ parameters: [Parameter], _ wanted: ReferenceTensors, prefix: String, _ key: (String) -> String
  ) throws -> String? {
    var named: [String: Parameter] = [:]
    for parameter in parameters { named[prefix + key(parameter.name)] = parameter }
    let names = wanted.names.filter { $0.hasPrefix(prefix) }
    for name in names {
      guard let parameter = Self.find(name, in: named) else {
        return "no trained tensor \(name); some are \(named.keys.sorted().prefix(3))"
      }
      let found = parameter.gradient?.array(Float.self) ?? Array(repeating: 0, count: parameter.shape.count)
      if let reason = gradientDifference(found, try wanted.floats(name)) { return "\(name): \(reason)" }
    }
    return names.count == parameters.count ? nil : "\(parameters.count) trained tensors, \(names.count) gradients wanted"
  }

  /// PEFT's live names differ from those of its files: `modules_to_save` in the path of a module that is trained whole, `.weight` after
  /// a magnitude.
  private static func find(_ name: String, in named: [String: Parameter]) -> Parameter? {
    named[name] ?? named[name.replacing(".modules_to_save.", with: ".")]
      ?? named[name.replacing("lora_magnitude_vector.weight", with: "lora_magnitude_vector")]
  }
}
