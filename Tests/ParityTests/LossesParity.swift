import Foundation
import SwiftletFormats
import SwiftletOps
import SwiftletTensorCore
import TestSupport

/// Losses over logits with their gradients; those of preference and reinforcement learning come later.
enum LossesParity {
  static func run(_ root: URL, _ tally: Tally) throws {
    for name in Fixtures.names(in: root) where name.hasSuffix(".json") {
      let file = try Fixtures.json(root.appending(path: name))
      let cases = file["cases"]?.array ?? []
      guard let logits = file["inputs"]?["logits"], let labels = file["inputs"]?["labels"] else {
        tally.skip("preference and reinforcement learning come later", cases.count)
        continue
      }
      for (index, entry) in cases.enumerated() {
        tally.check("\(name) \(index) \(entry["name"]?.string ?? "")") {
          try Case(entry, logits: logits, labels: labels, teacher: file["inputs"]?["teacher_logits"]).check()
        }
      }
    }
  }

  private struct Case {
    let entry: JSON
    let logits: Tensor
    let teacher: Tensor?
    let targets: [Int32]

    init(_ entry: JSON, logits: JSON, labels: JSON, teacher: JSON?) throws {
      self.entry = entry
      let rows = logits.array?.first?.array?.count ?? 0
      let columns = logits.array?.first?.array?.first?.array?.count ?? 0
      let shape = Shape([(logits.array?.count ?? 0) * rows, columns])
      self.logits = Tensor(logits.flatFloats, shape)
      self.teacher = teacher.map { Tensor($0.flatFloats, shape) }
      targets = (labels.array ?? []).flatMap { row in ((row.ids ?? []).dropFirst() + [-100]).map(Int32.init) }
    }

    func check() throws -> String? {
      let (box, tape) = (GradientBox(), Tape())
      let watched = tape.watch(logits, for: box)
      guard let (sum, count) = loss(watched, entry["name"]?.string ?? "") else { return "an unknown loss" }
      let divisor = Float(entry["num_items_in_batch"]?.double ?? Double(count))
      let value = sum.array(Float.self)[0] / divisor
      tape.backward(from: sum, seed: Tensor([1 / divisor], [1]))
      let wanted = Float(entry["loss"]?.double ?? .nan)
      if let reason = difference([value], [wanted], absolute: 1e-6, relative: 1e-5) { return "loss \(reason)" }
      guard let gradient = box.gradient else { return "no gradient" }
      let reason = difference(
        gradient.array(Float.self), entry["grad"]?["logits"]?.flatFloats ?? [], absolute: 1e-6, relative: 1e-5)
      return reason.map { "gradient \($0)" }
    }

    /// The loss that a case's name describes.
    private func loss(_ watched: Tensor, _ name: String) -> (Tensor, Int)? {
      let temperature = Float(entry["temperature"]?.double ?? 1)
      func distilled(_ kind: Distillation) -> (Tensor, Int)? {
        teacher.map { distillation(watched, teacher: $0, targets: targets, kind, temperature: temperature) }
      }
      if name.hasPrefix("cross_entropy") {
        return crossEntropy(
          watched, targets: targets,
          TokenLoss(labelSmoothing: Float(entry["label_smoothing"]?.double ?? 0), zLoss: Float(entry["z_coef"]?.double ?? 0)))
      }
      if name.hasPrefix("dft") { return crossEntropy(watched, targets: targets, TokenLoss(isDynamic: true)) }
      if name.hasPrefix("distill_forward") { return distilled(.forward) }
      if name.hasPrefix("distill_reverse") { return distilled(.reverse) }
      if name.hasPrefix("distill_generalised") { return distilled(.jensenShannon(beta: Float(entry["beta"]?.double ?? 0.5))) }
      return nil
    }
  }
}
