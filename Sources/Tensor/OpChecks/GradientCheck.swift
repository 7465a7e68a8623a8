import SwiftletOps
import SwiftletTensorCore

/// Compares an op's backward rule with finite differences of its forward.
///
/// The loss is a fixed random weighting of the op's outputs, summed in float64. Along a direction d its derivative is measured as
/// (8(L(h) − L(−h)) − (L(2h) − L(−2h))) / 12h, whose truncation error is O(h⁴), and compared with ⟨gradient, d⟩. Directions are random over
/// whole inputs, and single elements. The bound is the rounding noise of the measurement, ε₃₂·Σ|w·y|/h, plus a thousandth of the
/// derivative's natural size.
public struct GradientCheck {
  /// The op.
  public let name: String
  /// Its inputs that get gradients.
  public let inputs: [Tensor]
  /// Step of the finite differences.
  public var step: Double = 0x1p-7
  /// The op as a function of the inputs.
  public let body: ([Tensor]) -> [Tensor]

  /// A check of `body` at `inputs`.
  public init(_ name: String, _ inputs: [Tensor], step: Double = 0x1p-7, _ body: @escaping ([Tensor]) -> [Tensor]) {
    self.name = name
    self.inputs = inputs
    self.step = step
    self.body = body
  }

  /// The gradients of the weighted sum of the outputs: one for each input, zeros where nothing flows.
  public func gradients() -> [Tensor] {
    let tape = Tape()
    let boxes = inputs.map { _ in GradientBox() }
    let outputs = body(zip(inputs, boxes).map { tape.watch($0, for: $1) })
    let total = weightedSum(outputs)
    tape.backward(from: total)
    return zip(inputs, boxes).map { $1.gradient ?? Tensor(zeros: $0.shape) }
  }

  /// Random directions over each input, and some single elements.
  public func run(directions: Int = 2, elements: Int = 6) -> [CheckResult] {
    let gradients = gradients()
    var results: [CheckResult] = []
    for (index, input) in inputs.enumerated() where input.count > 0 {
      for d in 0..<directions {
        let direction = Tensor.normal(input.shape, random: Random(seed: 77, stream: UInt64(100 * index + d)))
        results.append(compare(index, direction, gradients[index], "direction \(d)"))
      }
      for e in 0..<elements {
        let direction = Tensor(zeros: input.shape)
        let place = Int(Random(seed: 5, stream: UInt64(index)).word(UInt64(e))) % input.count
        direction.floats[place] = 1
        results.append(compare(index, direction, gradients[index], "element \(place)"))
      }
    }
    return results
  }

  private func compare(_ index: Int, _ direction: Tensor, _ gradient: Tensor, _ label: String) -> CheckResult {
    let (measured, noise) = derivative(index, direction)
    var (analytic, size) = (0.0, 0.0)
    for (g, d) in zip(gradient.floats, direction.floats) {
      analytic += Double(g) * Double(d)
      size += Double(g) * Double(g) * Double(d) * Double(d)
    }
    return CheckResult(
      name: "\(name), input \(index), \(label)", error: abs(measured - analytic), tolerance: noise + 1e-3 * size.squareRoot())
  }

  private func derivative(_ index: Int, _ direction: Tensor) -> (value: Double, noise: Double) {
    let at = { (factor: Double) -> (loss: Double, size: Double) in
      var moved = inputs
      moved[index] = inputs[index].copied()
      for (i, d) in direction.floats.enumerated() { moved[index].floats[i] += Float(factor * step) * d }
      return loss(body(moved))
    }
    let (near, far) = ((at(1), at(-1)), (at(2), at(-2)))
    let value = (8 * (near.0.loss - near.1.loss) - (far.0.loss - far.1.loss)) / (12 * step)
    return (value, 4 * Double(Float.ulpOfOne) * near.0.size / step)
  }

  private func loss(_ outputs: [Tensor]) -> (loss: Double, size: Double) {
    var (total, squares) = (0.0, 0.0)
    for (index, output) in outputs.enumerated() {
      let random = Self.weights(index)
      for (i, y) in output.floats.enumerated() {
        let term = Double(random.uniform(UInt64(i)) - 0.5) * Double(y)
        total += term
        squares += term * term
      }
    }
    return (total, squares.squareRoot())
  }

  /// The same sum on the tape, as one node whose gradient is the weights.
  private func weightedSum(_ outputs: [Tensor]) -> Tensor {
    let shapes = outputs.map(\.shape)
    let sum = Tensor([Float(0)], [1])
    guard let tape = tape(of: outputs) else { return sum }
    return tape.record("weightedSum", outputs, saving: [], outputs: [sum]) { _ in
      shapes.enumerated().map { index, shape in
        let gradient = Tensor(uninitialized: shape)
        for i in 0..<shape.count { gradient.floats[i] = Self.weights(index).uniform(UInt64(i)) - 0.5 }
        return gradient
      }
    }[0]
  }

  private static func weights(_ output: Int) -> Random { Random(seed: 31, stream: UInt64(output)) }
}
