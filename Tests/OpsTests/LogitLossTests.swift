import Foundation
import SwiftletOps
import SwiftletTensorCore
import Testing

@Suite struct LogitLossTests {
  @Test(.enabled(if: Fixtures.has("losses/sft_distill.json"), "no loss fixtures")) func everyCaseHoldsWithItsGradient() throws {
    let file = try Fixtures.json("losses/sft_distill.json")
    let inputs = file["inputs"] as? [String: Any] ?? [:]
    let labels = (inputs["labels"] as? [[Int]] ?? []).map { $0.map(Int32.init) }
    guard let columns = (inputs["logits"] as? [[[Any]]])?.first?.first?.count else { return }
    let shape = Shape([labels.reduce(0) { $0 + $1.count }, columns])
    // Position t predicts label t + 1; the last position of a row predicts nothing.
    let targets = labels.flatMap { $0.dropFirst() + [-100] }
    let (logits, teacher) = (Tensor(flatten(inputs["logits"]), shape), Tensor(flatten(inputs["teacher_logits"]), shape))
    var checked = 0
    for case let item as [String: Any] in file["cases"] as? [Any] ?? [] {
      let name = item["name"] as? String ?? ""
      let (tape, box) = (Tape(), GradientBox())
      let watched = tape.watch(logits, for: box)
      let (sum, count) = loss(name, item, watched, teacher, targets)
      let divisor = (item["num_items_in_batch"] as? NSNumber)?.floatValue ?? Float(count)
      let value = sum.scalar / divisor
      tape.backward(from: sum, seed: Tensor([1 / divisor], [1]))
      let wanted = (item["loss"] as? NSNumber)?.floatValue ?? .nan
      #expect(excess([value], [wanted], absolute: 1e-6, relative: 1e-5) <= 0, "\(name): \(value), wanted \(wanted)")
      let gradient = box.gradient?.array(Float.self) ?? []
      let expected = flatten((item["grad"] as? [String: Any])?["logits"])
      #expect(gradient.count == expected.count)
      #expect(excess(gradient, expected, absolute: 1e-6, relative: 1e-5) <= 0, "gradient of \(name)")
      checked += 1
    }
    #expect(checked > 0)
  }

  private func loss(
    _ name: String, _ item: [String: Any], _ logits: Tensor, _ teacher: Tensor, _ targets: [Int32]
  ) -> (lossSum: Tensor, count: Int) {
    let number = { (key: String) in (item[key] as? NSNumber)?.floatValue }
    if name.hasPrefix("distill_") {
      let kind: Distillation =
        name.contains("forward") ? .forward : name.contains("reverse") ? .reverse : .jensenShannon(beta: number("beta") ?? 0.5)
      return distillation(logits, teacher: teacher, targets: targets, kind, temperature: number("temperature") ?? 1)
    }
    return crossEntropy(
      logits, targets: targets,
      TokenLoss(labelSmoothing: number("label_smoothing") ?? 0, zLoss: number("z_coef") ?? 0, isDynamic: name.hasPrefix("dft")))
  }
}
