import Foundation
import SwiftletCheckpoints
import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore
import TestSupport

/// A model that bitsandbytes has quantised: logits and loss, and a QLoRA pass with the adapter of its base model.
struct QuantModelParity {
  private let model: ModelsParity
  private let tally: Tally

  init(_ folder: URL, _ tally: Tally) throws {
    model = try ModelsParity(folder, model: folder, label: "", tally)
    self.tally = tally
  }

  func run() throws {
    tally.check("\(model.name) full.logits") { try logits() }
    tally.check("\(model.name) padded.loss") { try loss(adapter: nil, "padded.loss") }
    tally.check("\(model.name) dequantised") { try dense() }
    guard model.numbers.has("qlora.padded.loss") else { return }
    let name = model.facts["base_model"]?.string ?? ""
    let adapter = Fixtures.root.appending(path: "models/\(name)/adapter").path
    tally.check("\(model.name) qlora.padded.loss") { try loss(adapter: adapter, "qlora.padded.loss") }
    GradientParity(model).adapterGradients(adapter, model.numbers, prefix: "qlora.grad.")
  }

  private func logits() throws -> String? {
    let network = try ModelLoader.load(model.model.path)
    guard network.parameters.contains(where: { $0.quantized != nil }) else { return "nothing is quantised" }
    let ids = try model.rows("full.")[0].map(Int32.init)
    let context = ForwardContext(lengths: [ids.count])
    let found = network.logits(hidden: network.hidden(ids: ids, context), context)
    return difference(found.array(Float.self), try model.numbers.floats("full.logits"), absolute: 2e-4)
  }

  private func loss(adapter: String?, _ key: String) throws -> String? {
    let network = try ModelLoader.load(model.model.path, adapter: adapter)
    let rows = try model.rows("padded.")
    let labels = try model.numbers.integers("padded.labels")
    let width = try model.numbers.shape("padded.labels").last ?? 1
    let own = rows.enumerated().flatMap { index, row in labels[index * width..<index * width + row.count].map(Int32.init) }
    let (sum, count) = network.loss(
      ids: rows.flatMap { $0.map(Int32.init) }, targets: shiftedTargets(labels: own, lengths: rows.map(\.count)),
      ForwardContext(lengths: rows.map(\.count)))
    return difference([sum.scalar / Float(count)], try model.numbers.floats(key), absolute: 2e-5)
  }

  /// Asked for float32, the model is dense and has bitsandbytes' numbers.
  private func dense() throws -> String? {
    let file = model.folder.appending(path: "dequantised_f32.safetensors")
    let network = try ModelLoader.load(model.model.path, as: .float32)
    if network.parameters.contains(where: { $0.quantized != nil }) { return "quantised where float32 was asked for" }
    guard Fixtures.exists(file) else { return nil }
    let wanted = try ReferenceTensors(file)
    var compared = 0
    for parameter in network.parameters where wanted.has(parameter.name) {
      compared += 1
      let reason = difference(parameter.value.array(Float.self), try wanted.floats(parameter.name), absolute: 0)
      if let reason { return "\(parameter.name) \(reason)" }
    }
    return compared > 0 ? nil : "no weight was compared"
  }
}
