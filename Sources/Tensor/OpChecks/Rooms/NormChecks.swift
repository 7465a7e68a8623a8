import SwiftletOps
import SwiftletTensorCore

extension SelfCheck {
  /// RMSNorm and LayerNorm.
  public static let norms: [SelfCheck] = [
    SelfCheck("rmsNorm") {
      rowShapes.flatMap { shape -> [CheckResult] in
        let (x, w) = (normal(1, shape), normal(2, [shape.columns]))
        let found = parity(
          "rmsNorm \(shape)", singles(rmsNorm(x, weight: w, epsilon: 1e-5)),
          truth: Definitions.rmsNorm(doubles(x), doubles(w), epsilon: Double(Float(1e-5))),
          naive: Definitions.rmsNorm(singles(x), singles(w), epsilon: 1e-5))
        return [found]
          + GradientCheck("rmsNorm \(shape)", [x, w]) { [rmsNorm($0[0], weight: $0[1], epsilon: 1e-5)] }.run()
          + GradientCheck("rmsNorm 1+w \(shape)", [x, w]) { [rmsNorm($0[0], weight: $0[1], epsilon: 1e-5, unitOffset: true)] }.run()
      }
    },
    SelfCheck("layerNorm") {
      rowShapes.flatMap { shape -> [CheckResult] in
        let (x, w, b) = (normal(1, shape), normal(2, [shape.columns]), normal(3, [shape.columns]))
        let found = parity(
          "layerNorm \(shape)", singles(layerNorm(x, weight: w, bias: b, epsilon: 1e-5)),
          truth: Definitions.layerNorm(doubles(x), doubles(w), doubles(b), epsilon: Double(Float(1e-5))),
          naive: Definitions.layerNorm(singles(x), singles(w), singles(b), epsilon: 1e-5))
        return [found]
          + GradientCheck("layerNorm \(shape)", [x, w, b]) { [layerNorm($0[0], weight: $0[1], bias: $0[2], epsilon: 1e-5)] }.run()
          + GradientCheck("layerNorm plain \(shape)", [x]) { [layerNorm($0[0], weight: nil, bias: nil, epsilon: 1e-5)] }.run()
      }
    },
  ]

  /// RoPE: both pairings, whole and partial.
  public static let rotary: [SelfCheck] = [
    SelfCheck("rope") {
      [(5, 2, 16, 8), (33, 3, 10, 3), (1, 1, 8, 4), (0, 1, 8, 4)].flatMap { (rows, heads, dimension, half) -> [CheckResult] in
        let (cos, sin) = (normal(1, [rows, half]), normal(2, [rows, half]))
        return [false, true].flatMap { interleaved in
          GradientCheck("rope \(rows)×\(heads)×\(dimension) interleaved \(interleaved)", [normal(3, [rows, heads * dimension])]) {
            [rope($0[0], heads: heads, cos: cos, sin: sin, interleaved: interleaved)]
          }.run()
        }
      }
    }
  ]
}
