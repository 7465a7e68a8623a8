import SwiftletOps
import SwiftletTensorCore

extension SelfCheck {
  /// Gated activations.
  public static let activations: [SelfCheck] = [
    SelfCheck("swiGLU") {
      rowShapes.flatMap { shape -> [CheckResult] in
        let (gate, up) = (normal(1, shape, scale: 3), normal(2, shape))
        let found = parity(
          "swiGLU \(shape)", singles(swiGLU(gate, up)), truth: Definitions.swiGLU(doubles(gate), doubles(up)),
          naive: Definitions.swiGLU(singles(gate), singles(up)))
        return [found] + GradientCheck("swiGLU \(shape)", [gate, up]) { [swiGLU($0[0], $0[1])] }.run()
      }
    },
    SelfCheck("geGLU") {
      [GELU.tanh, .erf].flatMap { kind in
        rowShapes.flatMap { shape -> [CheckResult] in
          let (gate, up) = (normal(1, shape, scale: 2), normal(2, shape))
          let found = parity(
            "geGLU \(kind) \(shape)", singles(geGLU(gate, up, kind)),
            truth: Definitions.geGLU(doubles(gate), doubles(up), isTanh: kind == .tanh),
            naive: Definitions.geGLU(singles(gate), singles(up), isTanh: kind == .tanh))
          return [found] + GradientCheck("geGLU \(kind) \(shape)", [gate, up]) { [geGLU($0[0], $0[1], kind)] }.run()
        }
      }
    },
  ]

  /// Sums, factors, columns and rows.
  public static let elementwise: [SelfCheck] = [
    SelfCheck("elementwise") {
      rowShapes.flatMap { shape -> [CheckResult] in
        let (a, b) = (normal(1, shape), normal(2, shape))
        let rows = shape.rows == 0 ? [] : [0, shape.rows - 1, 0]
        return GradientCheck("add \(shape)", [a, b]) { [add($0[0], $0[1])] }.run()
          + GradientCheck("add to itself \(shape)", [a]) { [add($0[0], $0[0])] }.run()
          + GradientCheck("scaled \(shape)", [a]) { [scaled($0[0], by: -1.5)] }.run()
          + GradientCheck("scaleColumns \(shape)", [a, normal(3, [shape.columns])]) { [scaleColumns($0[0], $0[1])] }.run()
          + GradientCheck("splitColumns \(shape)", [a]) { splitColumns($0[0], [5, shape.columns - 7, 0, 2]) }.run()
          + GradientCheck("selectRows \(shape)", [a]) { [selectRows($0[0], rows)] }.run()
      }
    }
  ]

  /// Expert routing.
  public static let routing: [SelfCheck] = [
    SelfCheck("routing") {
      let logits = Tensor((0..<9 * 5).map { Float(($0 * 7) % 23) / 5 }, [9, 5])
      let (x, weights) = (normal(3, [9, 12]), (0..<5).map { normal(UInt64(20 + $0), [6, 12], scale: 0.3) })
      return [(1, false), (2, true), (3, false), (5, true)].flatMap { (topK, normalize) -> [CheckResult] in
        [RouterScore.softmax, .sigmoid].flatMap { score in
          GradientCheck("route top \(topK) \(score)", [logits, x] + weights, step: 0x1p-10) { inputs in
            let routing = route(inputs[0], topK: topK, normalize: normalize, score: score, scale: 1.5)
            return [combine(groupedLinear(dispatch(inputs[1], routing), Array(inputs[2...])), routing)]
          }.run()
        }
      }
    }
  ]
}
