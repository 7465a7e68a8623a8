import SwiftletCUDA
import SwiftletOps
import SwiftletTensorCore

extension GPUCheck {
  /// Head and cross entropy on the GPU against the processor, from the same rounded inputs.
  static var heads: [GPUCheck] {
    [DType.float32, .bfloat16, .float16].map { dtype in
      GPUCheck("head of \(dtype)") { device in
        let gpu = Device.cuda(device.ordinal)
        return cases.flatMap { name, options in
          [nil, QuantizationFormat.int8, .nf4].prefix(name == "plain" ? 3 : 1).flatMap { format in
            HeadCheck(dtype: dtype, format: format, name: name, options: options).run(on: gpu)
          }
        } + [HeadCheck(dtype: dtype, format: nil, name: "nothing", options: HeadOptions(), hasTargets: false)].flatMap { $0.run(on: gpu) }
      }
    } + [divergences]
  }

  /// Rows far apart, close together and equal; vocabularies that divide nothing, and one of a single token.
  private static let divergences = GPUCheck("logit divergence") { device in
    [(37, 261, 1), (5, 49_152, 1e-3), (3, 128_257, 0), (4, 1, 1)].flatMap { rows, columns, apart -> [CheckResult] in
      let p = normal(1, [rows, columns], scale: 3)
      let q = add(p, normal(2, [rows, columns], scale: Float(apart)))
      let wanted = logitDivergences(p, q)
      let gpu = Device.cuda(device.ordinal)
      let (first, second) = (p.moved(to: gpu), q.moved(to: gpu))
      let found = logitDivergences(first, second)
      let title = "logit divergence [\(rows), \(columns)] \(apart) apart"
      let size = wanted.reduce(1e-12) { max($0, abs($1.divergence)) }
      func most(_ error: (LogitDivergence, LogitDivergence) -> Double) -> Double { zip(found, wanted).map(error).max() ?? 0 }
      return [
        // Sums of 10⁵ numbers in float64, in another order.
        CheckResult(name: "\(title): KL", error: most { abs($0.divergence - $1.divergence) }, tolerance: 1e-13 + 1e-11 * size),
        CheckResult(name: "\(title): mean", error: most { abs($0.absolute - $1.absolute) / max($1.absolute, 1) }, tolerance: 1e-12),
        CheckResult(name: "\(title): largest", error: most { Double(abs($0.largest - $1.largest)) }, tolerance: 0),
        CheckResult(name: "\(title): likeliest", error: most { $0.agrees == $1.agrees ? 0 : 1 }, tolerance: 0),
        CheckResult(
          name: "\(title): other bits the second time", error: found == logitDivergences(first, second) ? 0 : 1, tolerance: 0),
      ]
    }
  }

  private static var cases: [(String, HeadOptions)] {
    [
      ("plain", HeadOptions()), ("capped", HeadOptions(softCap: 3)), ("scaled", HeadOptions(logitScale: 0.25)),
      ("variants", HeadOptions(softCap: 5, loss: TokenLoss(labelSmoothing: 0.1, zLoss: 0.01))),
      ("dynamic", HeadOptions(loss: TokenLoss(isDynamic: true))),
    ]
  }
}

/// One case.
private struct HeadCheck {
  let dtype: DType
  let format: QuantizationFormat?
  let name: String
  var options: HeadOptions
  var hasTargets = true

  // The vocabulary divides nothing, so that rows begin anywhere.
  private let rows = 37
  private let features = 40
  private let vocabulary = 261

  private func rounded(_ tensor: Tensor) -> Tensor {
    switch dtype {
    case .bfloat16: Tensor(tensor.array(Float.self).map { BFloat16($0) }, tensor.shape)
    case .float16: Tensor(tensor.array(Float.self).map { Float16($0) }, tensor.shape)
    default: tensor
    }
  }

  private func widened(_ tensor: Tensor) -> Tensor {
    switch tensor.dtype {
    case .bfloat16: Tensor(tensor.array(BFloat16.self).map(\.float), tensor.shape)
    case .float16: Tensor(tensor.array(Float16.self).map { Float($0) }, tensor.shape)
    default: tensor.moved(to: .cpu)
    }
  }

  private struct Output {
    var loss: [Float] = []
    var logits: [Float] = []
    var values: [Float] = []
    var gradients: [[Float]] = []
  }

  func run(on gpu: Device) -> [CheckResult] {
    let (x, w) = (rounded(normal(1, [rows, features])), rounded(normal(2, [vocabulary, features], scale: 0.4)))
    let wanted = output(widened(x), widened(w), on: .cpu)
    let found = output(x.moved(to: gpu), w.moved(to: gpu), on: gpu)
    let again = output(x.moved(to: gpu), w.moved(to: gpu), on: gpu)
    // Rounding of 16-bit logits, and of what is made of them.
    let unit: Double = dtype == .float32 ? 0x1p-18 : dtype == .float16 ? 0x1p-9 : 0x1p-6
    let title = "head \(name) \(dtype)\(format.map { " \($0)" } ?? "")"
    var results = [
      relative("\(title): loss", found.loss, wanted.loss, unit), relative("\(title): logits", found.logits, wanted.logits, unit),
      relative("\(title): log-probabilities", found.values, wanted.values, unit),
    ]
    for (index, pair) in zip(found.gradients, wanted.gradients).enumerated() {
      results.append(relative("\(title): gradient \(index)", pair.0, pair.1, 2 * unit))
    }
    let same = found.loss == again.loss && found.values == again.values && found.gradients == again.gradients
    return results + [CheckResult(name: "\(title): other bits the second time", error: same ? 0 : 1, tolerance: 0)]
  }

  private func output(_ x: Tensor, _ w: Tensor, on device: Device) -> Output {
    let targets: [Int32] = (0..<rows).map { hasTargets && $0 % 5 != 1 ? Int32(($0 * 29) % vocabulary) : -100 }
    var output = Output()
    func weight(_ tape: Tape?, _ box: GradientBox) -> LinearWeight {
      if let format { return .quantized(QuantizedMatrix(quantizing: w, format)) }
      return .dense(tape.map { $0.watch(w, for: box) } ?? w)
    }
    let (first, second, third) = (GradientBox(), GradientBox(), GradientBox())
    var tape = Tape()
    let loss = linearCrossEntropy(tape.watch(x, for: first), weight(tape, second), targets: targets, options).lossSum
    tape.backward(from: loss, seed: Tensor([Float(0.25)], [1], on: device))
    tape = Tape()
    let values = tokenLogProbabilities(tape.watch(x, for: third), weight(nil, second), targets: targets, options)
    tape.backward(from: values, seed: normal(3, [rows]).moved(to: device))
    output.loss = loss.array(Float.self)
    output.values = values.array(Float.self)
    output.logits = headLogits(x, weight(nil, second), options).array(Float.self)
    output.gradients = [first, second, third].compactMap { $0.gradient.map { widened($0).array(Float.self) } }
    return output
  }

  /// ‖found − wanted‖ against a share of ‖wanted‖.
  private func relative(_ name: String, _ found: [Float], _ wanted: [Float], _ unit: Double) -> CheckResult {
    guard found.count == wanted.count else { return CheckResult(name: name, error: .infinity, tolerance: 0) }
    let error = zip(found, wanted).reduce(0.0) { $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1)) }
    let size = wanted.reduce(0.0) { $0 + Double($1) * Double($1) }
    return CheckResult(name: name, error: error.squareRoot(), tolerance: unit * size.squareRoot())
  }
}
