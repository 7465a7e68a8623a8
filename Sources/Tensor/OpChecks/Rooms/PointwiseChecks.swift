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
    SelfCheck("clampedSwiGLU") {
      rowShapes.flatMap { shape -> [CheckResult] in
        // A grid that keeps away from the corners at ±limit by more than the step of finite differences.
        let count = shape.count
        let gate = Tensor((0..<count).map { Float(($0 * 29) % 61 - 30) / 10 + 0.05 }, shape)
        let up = Tensor((0..<count).map { Float(($0 * 17) % 53 - 26) / 10 + 0.05 }, shape)
        let found = parity(
          "clampedSwiGLU \(shape)", singles(clampedSwiGLU(gate, up, alpha: 1.702, limit: 1.5)),
          truth: Definitions.clampedSwiGLU(doubles(gate), doubles(up), alpha: Double(Float(1.702)), limit: 1.5),
          naive: Definitions.clampedSwiGLU(singles(gate), singles(up), alpha: 1.702, limit: 1.5))
        return [found]
          + GradientCheck("clampedSwiGLU \(shape)", [gate, up], step: 0x1p-8) { [clampedSwiGLU($0[0], $0[1], alpha: 1.702, limit: 1.5)] }
          .run()
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
    },
    SelfCheck("joinHeads") {
      headCheck(33, 3, 5, 2) + headCheck(4, 1, 8, 8) + headCheck(0, 2, 3, 4) + headCheck(7, 4, 16, 8)
    },
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
    },
    SelfCheck("routing in groups") {
      let logits = normal(1, [7, 6])
      let bias = normal(2, [6], scale: 0.1)
      let groups = RouterGroups(count: 3, kept: 2)
      let check = GradientCheck("route in groups", [logits], step: 0x1p-10) { inputs in
        let routing = route(inputs[0], topK: 3, normalize: true, score: .sigmoid, bias: bias, scale: 2.5, groups: groups)
        return [routing.weights]
      }
      return check.run()
    },
  ]

  private static func headCheck(_ rows: Int, _ heads: Int, _ n: Int, _ m: Int) -> [CheckResult] {
    let size = "\(rows)×\(heads)×(\(n) + \(m))"
    let a = normal(1, [rows, heads * n])
    let own = GradientCheck("joinHeads \(size)", [a, normal(2, [rows, heads * m])]) { [joinHeads($0[0], $0[1], heads: heads)] }
    let common = GradientCheck("joinHeads shared \(size)", [a, normal(3, [rows, m])]) { inputs in
      [joinHeads(inputs[0], inputs[1], heads: heads, sharesB: true)]
    }
    let split = GradientCheck("splitHeads \(size)", [normal(4, [rows, heads * (n + m)])]) { inputs in
      let (first, second) = splitHeads(inputs[0], heads: heads, first: n)
      return [first, second]
    }
    return own.run() + common.run() + split.run()
  }
}
