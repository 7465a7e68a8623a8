import SwiftletOps
import SwiftletTensorCore

extension SelfCheck {
  /// Linear maps, plain and with adapters.
  public static let linear: [SelfCheck] = [
    SelfCheck("linear") {
      [(8, 64, 32), (33, 127, 65), (1, 48, 16), (0, 16, 8)].flatMap { (rows, inputs, outputs) -> [CheckResult] in
        let (x, w, b) = (normal(1, [rows, inputs]), normal(2, [outputs, inputs], scale: 0.2), normal(3, [outputs]))
        let parityResult = parity(
          "linear \(rows)×\(inputs)→\(outputs)", singles(SwiftletOps.linear(x, w)),
          truth: Definitions.linear(doubles(x), doubles(w), rows: rows, inputs: inputs, outputs: outputs),
          naive: Definitions.linear(singles(x), singles(w), rows: rows, inputs: inputs, outputs: outputs))
        let gradients = GradientCheck("linear \(rows)×\(inputs)→\(outputs)", [x, w, b]) {
          [SwiftletOps.linear($0[0], $0[1], bias: $0[2])]
        }
        return [parityResult] + gradients.run()
      }
    },
    SelfCheck("loraLinear") { loraChecks(dropout: nil) },
    SelfCheck("loraLinear with dropout") {
      loraChecks(dropout: Dropout(probability: 0.3, random: Random(seed: 9)))
    },
    SelfCheck("loraLinear with magnitude") {
      // The norm that DoRA divides by has no gradient, so differences in A and B would not see what backward gives: x, bias and magnitude.
      [nil, Dropout(probability: 0.3, random: Random(seed: 9))].flatMap { dropout in
        let (weight, a, b) = (normal(2, [33, 40], scale: 0.2), normal(4, [3, 40], scale: 0.3), normal(5, [33, 3], scale: 0.3))
        return GradientCheck("loraLinear with magnitude", [normal(1, [17, 40]), normal(3, [33]), normal(6, [33])]) {
          let lora = LoRAOperands(a: a, b: b, scale: 0.5, dropout: dropout, magnitude: $0[2])
          return [loraLinear($0[0], weight, bias: $0[1], lora: lora)]
        }.run()
      }
    },
  ]

  private static func loraChecks(dropout: Dropout?) -> [CheckResult] {
    [(8, 64, 32, 4), (33, 127, 65, 3), (1, 48, 16, 8), (0, 16, 8, 2)].flatMap { (rows, inputs, outputs, rank) -> [CheckResult] in
      let weight = normal(2, [outputs, inputs], scale: 0.2)
      let inputs = [
        normal(1, [rows, inputs]), normal(4, [rank, inputs], scale: 0.3), normal(5, [outputs, rank], scale: 0.3), normal(3, [outputs]),
      ]
      return GradientCheck("loraLinear \(rows)×\(inputs[0].shape.columns)→\(outputs) rank \(rank)", inputs) {
        [loraLinear($0[0], weight, bias: $0[3], lora: LoRAOperands(a: $0[1], b: $0[2], scale: 0.5, dropout: dropout))]
      }.run()
    }
  }

  /// Embedding tables, with a repeated id, plain and with an adapter.
  public static let embedding: [SelfCheck] = [
    SelfCheck("embedding") {
      let ids = Tensor([Int32(3), 0, 3, 10, 2, 3], [6])
      let (table, a, b) = (normal(6, [11, 24]), normal(7, [2, 11]), normal(8, [24, 2]))
      return GradientCheck("embedding", [table]) { [SwiftletOps.embedding(ids, $0[0], scale: 1.5)] }.run()
        + GradientCheck("embedding with LoRA", [table, a, b]) {
          [SwiftletOps.embedding(ids, $0[0], scale: 1.5, lora: LoRAOperands(a: $0[1], b: $0[2], scale: 0.7))]
        }.run()
    }
  ]
}
