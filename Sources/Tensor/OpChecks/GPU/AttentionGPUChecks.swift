import SwiftletCUDA
import SwiftletOps
import SwiftletTensorCore

extension GPUCheck {
  /// Attention on a GPU against attention on the processor with the same (rounded) inputs: output and all gradients, in every format, and
  /// the same bits twice.
  static var attention: [GPUCheck] {
    let formats: [DType] = [.float32, .bfloat16, .float16]
    return (SelfCheck.attentionCases + wideAttentionCases).map { item in
      GPUCheck(item.name) { device in
        defer { forgetAttentionTiles() }
        return formats.flatMap { item.check($0, on: .cuda(device.ordinal)) } + item.checkCached(on: .cuda(device.ordinal))
      }
    }
  }

  /// The gradients by cuDNN against the processor, where it is installed; sequences long enough for it, with and without groups of heads.
  static var dnnAttention: [GPUCheck] {
    [(128, 2, 1), (64, 2, 2)].map { width, heads, keyHeads in
      let options = AttentionOptions(heads: heads, keyValueHeads: keyHeads, headDimension: width, scale: 1 / Float(width).squareRoot())
      let item = AttentionCase(
        name: "attention by cuDNN \(width)", options: options, layout: SequenceLayout(lengths: [8192]))
      return GPUCheck(item.name) { device in
        // Optional: without it attention is our own, which has checks of its own.
        if device.dnn.error != nil { return [] }
        device.prefersDNN = true
        defer {
          device.prefersDNN = false
          forgetAttentionTiles()
        }
        return [DType.bfloat16, .float16].flatMap { dtype in
          let q = Tensor(uninitialized: [item.layout.queries, heads * width], dtype, part: .workspace, on: .cuda(device.ordinal))
          let isUsed = takesGradientsFromDNN(q, layout: item.layout, options)
          return [CheckResult(name: "\(item.name) \(dtype) is planned", error: isUsed ? 0 : .infinity, tolerance: 0)]
            + item.check(dtype, on: .cuda(device.ordinal), repeats: false)
        }
      }
    }
  }

  /// Head sizes that the fast kernels know, sequences over several tiles.
  private static var wideAttentionCases: [AttentionCase] {
    let options = { (width: Int, window: Int?, cap: Float?) in
      AttentionOptions(
        heads: 4, keyValueHeads: 2, headDimension: width, scale: 1 / Float(width).squareRoot(), window: window, softCap: cap)
    }
    let long = SequenceLayout(lengths: [257, 1, 130])
    let behind = SequenceLayout(queryStarts: [0, 5, 140], keyStarts: [0, 300, 550])
    return [
      AttentionCase(name: "attention wide 64", options: options(64, nil, nil), layout: long),
      AttentionCase(name: "attention wide 80", options: options(80, nil, nil), layout: long),
      AttentionCase(name: "attention wide 96", options: options(96, 70, nil), layout: behind),
      AttentionCase(name: "attention wide 128", options: options(128, nil, nil), layout: behind),
      AttentionCase(name: "attention wide 128, window", options: options(128, 100, nil), layout: long, hasSinks: true),
      AttentionCase(name: "attention wide 128, capped", options: options(128, nil, 10), layout: long, hasSinks: true),
      AttentionCase(name: "attention wide 256", options: options(256, nil, nil), layout: long),
    ]
  }
}

extension AttentionCase {
  /// The output and the gradients of all inputs; inputs that are given away may be written over.
  private func results(_ inputs: [Tensor], seed: Tensor, givingAway: Bool = false) -> [Tensor] {
    let tape = Tape()
    let boxes = inputs.map { _ in GradientBox() }
    let output = run(zip(inputs, boxes).map { tape.watch(givingAway ? $0.copied() : $0, for: $1) })
    let kept = output.detached
    tape.backward(from: output, seed: seed)
    return [kept] + zip(inputs, boxes).map { $1.gradient ?? Tensor(zeros: $0.shape, on: $0.device) }
  }

  /// - Parameter repeats: whether the same bits are wanted twice.
  fileprivate func check(_ dtype: DType, on device: Device, repeats: Bool = true) -> [CheckResult] {
    let rounded = { (x: Tensor) in x.moved(to: device).cast(to: dtype) }
    // Sinks are float32 everywhere.
    let there = inputs[..<3].map(rounded) + inputs[3...].map { $0.moved(to: device) }
    let here = there.map { $0.cast(to: .float32).moved(to: .cpu) }
    let seed = rounded(normal(15, [layout.queries, options.heads * (options.valueDimension ?? options.headDimension)]))
    let truth = results(here, seed: seed.cast(to: .float32).moved(to: .cpu))
    let found = results(there, seed: seed)
    let again = repeats ? results(there, seed: seed, givingAway: true) : found
    let names = ["output", "dq", "dk", "dv", "dsinks"]
    return truth.indices.flatMap { index -> [CheckResult] in
      let values = found[index].cast(to: .float32).array(Float.self)
      let name = "\(self.name) \(dtype) \(names[index])"
      // Roundings of the probabilities and their gradients to 8 or 11 bits average out; a sink's gradient is a difference of large sums.
      let tolerance: Double = dtype == .float32 ? 4e-6 : dtype == .float16 ? 1.5e-3 : 8e-3
      return [
        CheckResult(
          name: name, error: distance(values, truth[index].array(Float.self)), tolerance: index == 4 ? 4 * tolerance : tolerance),
        CheckResult(
          name: name + " again", error: differences(values, again[index].cast(to: .float32).array(Float.self)), tolerance: 0),
      ]
    }
  }

  /// Keys and values of each sequence for itself.
  fileprivate func checkCached(on device: Device) -> [CheckResult] {
    let cut = { (x: Tensor) in
      (0..<layout.count).map { x.rows(layout.keyStarts[$0]..<layout.keyStarts[$0 + 1]).copied() }
    }
    let run = { (device: Device) -> [Float] in
      let moved = { (x: Tensor) in x.moved(to: device) }
      return cachedAttention(
        moved(queries), keys: cut(keys).map(moved), values: cut(values).map(moved), sinks: hasSinks ? moved(sinks) : nil,
        queryStarts: layout.queryStarts, options
      ).array(Float.self)
    }
    return [CheckResult(name: name + " cached", error: distance(run(device), run(.cpu)), tolerance: 4e-6)]
  }
}

/// ‖found − truth‖ / ‖truth‖; 0 for two lists of zeros.
private func distance(_ found: [Float], _ truth: [Float]) -> Double {
  guard found.count == truth.count else { return .infinity }
  var (error, size) = (0.0, 0.0)
  for (a, b) in zip(found, truth) {
    error += (Double(a) - Double(b)) * (Double(a) - Double(b))
    size += Double(b) * Double(b)
  }
  return error == 0 ? 0 : (error / size).squareRoot()
}
