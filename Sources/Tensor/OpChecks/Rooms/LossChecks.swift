import SwiftletOps
import SwiftletTensorCore

extension SelfCheck {
  /// Cross entropy, log-probabilities and distillation.
  public static var losses: [SelfCheck] {
    [
      SelfCheck("linearCrossEntropy") {
        let targets: [Int32] = (0..<33).map { $0 % 4 == 1 ? -100 : Int32(($0 * 13) % 61) }
        let inputs = [normal(1, [33, 20]), normal(2, [61, 20], scale: 0.5)]
        let truth = crossEntropyOfDefinition(inputs, targets, doubles)
        let naive = crossEntropyOfDefinition(inputs, targets, singles)
        let found = parity(
          "linearCrossEntropy", singles(linearCrossEntropy(inputs[0], .dense(inputs[1]), targets: targets).lossSum), truth: [truth],
          naive: [naive])
        return [found]
          + headOptions.flatMap { name, options in
            GradientCheck("linearCrossEntropy \(name)", inputs) {
              [linearCrossEntropy($0[0], .dense($0[1]), targets: targets, options).lossSum]
            }.run()
          }
          + GradientCheck("linearCrossEntropy with adapter and bias", inputs + adapter) {
            [linearCrossEntropy($0[0], .dense($0[1]), targets: targets, adapted($0)).lossSum]
          }.run()
          + GradientCheck("linearCrossEntropy of nothing", inputs) {
            [linearCrossEntropy($0[0], .dense($0[1]), targets: [Int32](repeating: -100, count: 33)).lossSum]
          }.run()
      },
      SelfCheck("tokenLogProbabilities") {
        let targets: [Int32] = (0..<9).map { $0 == 4 ? -100 : Int32(($0 * 13) % 61) }
        let inputs = [normal(1, [9, 20]), normal(2, [61, 20], scale: 0.5)]
        return headOptions.prefix(3).flatMap { name, options in
          GradientCheck("tokenLogProbabilities \(name)", inputs) {
            [tokenLogProbabilities($0[0], .dense($0[1]), targets: targets, options)]
          }.run()
        }
          + GradientCheck("tokenLogProbabilities with adapter and bias", inputs + adapter) {
            [tokenLogProbabilities($0[0], .dense($0[1]), targets: targets, adapted($0))]
          }.run()
      },
      SelfCheck("distillation") {
        let (logits, teacher) = (normal(1, [5, 17], scale: 2), normal(2, [5, 17], scale: 2))
        let targets: [Int32] = [0, 3, -100, 1, 2]
        return [Distillation.forward, .reverse, .jensenShannon(beta: 0.3)].flatMap { kind in
          GradientCheck("distillation \(kind)", [logits]) {
            [SwiftletOps.distillation($0[0], teacher: teacher, targets: targets, kind, temperature: 2).lossSum]
          }.run()
        }
          + GradientCheck("crossEntropy", [logits]) {
            [crossEntropy($0[0], targets: targets, TokenLoss(labelSmoothing: 0.1, zLoss: 0.02)).lossSum]
          }.run()
      },
    ]
  }

  private static var headOptions: [(String, HeadOptions)] {
    [
      ("plain", HeadOptions()), ("capped", HeadOptions(softCap: 3)), ("scaled", HeadOptions(logitScale: 0.25)),
      ("variants", HeadOptions(loss: TokenLoss(labelSmoothing: 0.1, zLoss: 0.01))),
    ]
  }

  private static var adapter: [Tensor] { [normal(3, [4, 20]), normal(4, [61, 4], scale: 0.3), normal(5, [61])] }
  private static func adapted(_ inputs: [Tensor]) -> HeadOptions {
    HeadOptions(lora: LoRAOperands(a: inputs[2], b: inputs[3], scale: 0.5), bias: inputs[4])
  }

  private static func crossEntropyOfDefinition<R: Real>(_ inputs: [Tensor], _ targets: [Int32], _ convert: (Tensor) -> [R]) -> R {
    let logits = Definitions.linear(convert(inputs[0]), convert(inputs[1]), rows: 33, inputs: 20, outputs: 61)
    return targets.enumerated().reduce(R(0)) { total, item in
      item.element < 0
        ? total : total + Definitions.crossEntropy(Array(logits[item.offset * 61..<(item.offset + 1) * 61]), target: Int(item.element))
    }
  }
}
