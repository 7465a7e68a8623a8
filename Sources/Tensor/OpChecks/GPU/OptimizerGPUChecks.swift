import SwiftletCUDA
import SwiftletOps
import SwiftletTensorCore

extension GPUCheck {
  /// AdamW over several parameters on the GPU against the processor; a step with an infinite gradient between.
  static var optimizers: [GPUCheck] {
    [true, false].map { coded in
      GPUCheck(coded ? "AdamW in 8 bits" : "AdamW") { device in AdamCheck(coded: coded).run(on: .cuda(device.ordinal)) }
    }
  }
}

/// One kind of moments.
private final class AdamCheck {
  private struct Member {
    let value, m, v: Tensor
    let mScale, vScale: Tensor?
    let decay: Float
    func moved(to device: Device) -> Member {
      Member(
        value: value.moved(to: device), m: m.moved(to: device), v: v.moved(to: device), mScale: mScale?.moved(to: device),
        vScale: vScale?.moved(to: device), decay: decay)
    }
  }

  private let coded: Bool
  private var own: [Member]
  private var step = 0

  init(coded: Bool) {
    self.coded = coded
    own = [4099, 50, 20_000, 300, 50_152, 4096].enumerated().map { index, count in
      let isCoded = coded && count >= 4096
      func moments(_ code: UInt8) -> Tensor { isCoded ? Tensor([UInt8](repeating: code, count: count), [count]) : Tensor(zeros: [count]) }
      let scales = { isCoded ? Tensor(zeros: [(count + 255) / 256]) : nil }
      return Member(
        value: normal(UInt64(index), [count], scale: 0.02), m: moments(127), v: moments(0), mScale: scales(), vScale: scales(),
        decay: index % 2 == 0 ? 0.01 : 0)
    }
  }

  func run(on gpu: Device) -> [CheckResult] {
    let theirs = own.map { $0.moved(to: gpu) }
    let copies = theirs.map { Tensor(zeros: $0.value.shape, .bfloat16, on: gpu) }
    let adam = GPUAdamW(
      theirs.map {
        GPUAdamW.Moments(
          count: $0.m.count, m: $0.m.address, v: $0.v.address, mScale: $0.mScale, vScale: $0.vScale, decay: Double($0.decay))
      }, on: gpu)
    var results: [CheckResult] = []
    for turn in 1...6 {
      let gradients = own.enumerated().map { index, member -> Tensor in
        let gradient = normal(UInt64(100 * turn + index), member.value.shape, scale: turn == 5 ? 1e-12 : 0.1)
        if turn == 3 && index == 2 { gradient.floats[77] = .infinity }
        return gradient
      }
      adam.step(
        zip(zip(theirs, copies), gradients).map { GPUAdamW.Numbers(value: $0.0.value, gradient: $1.moved(to: gpu), copy: $0.1) },
        GPUAdamW.Rule(rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, maximumNorm: 1))
      let report = adam.report
      let norm = gradientNorm(gradients)
      if turn == 3 {
        results.append(CheckResult(name: "a step with an infinite gradient is left out", error: report.isSkipped ? 0 : 1, tolerance: 0))
      } else {
        results.append(CheckResult(name: "norm of step \(turn)", error: abs(report.norm - norm), tolerance: 1e-6 * norm))
        update(gradients, clipFactor(norm: report.norm, maximum: 1))
      }
      results += compare(theirs, copies, turn)
    }
    let report = adam.report
    return results + [
      CheckResult(name: "updates counted", error: Double(abs(report.updates - 5) + abs(report.skipped - 1)), tolerance: 0)
    ]
  }

  private func update(_ gradients: [Tensor], _ factor: Float) {
    step += 1
    for (member, gradient) in zip(own, gradients) {
      if let mScale = member.mScale, let vScale = member.vScale {
        let numbers = AdamW8bit.Coefficients(
          beta1: 0.9, beta2: 0.999, epsilon: 1e-8, step: step, rate: 1e-3, decay: member.decay, gradientScale: factor)
        AdamW8bit.update(
          numbers, parameter: member.value, gradient: gradient, m: member.m, v: member.v, mScale: mScale, vScale: vScale)
      } else {
        AdamW.update(
          parameter: member.value, gradient: gradient, m: member.m, v: member.v, step: step, learningRate: 1e-3,
          weightDecay: member.decay, gradientScale: factor)
      }
    }
  }

  private func compare(_ theirs: [Member], _ copies: [Tensor], _ turn: Int) -> [CheckResult] {
    zip(zip(own, theirs), copies).enumerated().flatMap { index, item -> [CheckResult] in
      let ((member, other), copy) = item
      let name = "parameter \(index) after step \(turn)"
      let values = other.value.array(Float.self)
      let bits = zip(values, copy.array(BFloat16.self)).count { BFloat16($0) != $1 }
      // With float32 moments the processor may fuse a product with a sum.
      let error = zip(values, member.value.array(Float.self)).reduce(0.0) { max($0, abs(Double($1.0) - Double($1.1))) }
      var results = [CheckResult(name: name, error: error, tolerance: member.mScale == nil ? 3e-8 * Double(turn) : 0)]
      if turn != 3 || step > 0 { results.append(CheckResult(name: "\(name): copies", error: Double(bits), tolerance: 0)) }
      guard member.mScale != nil else { return results }
      let codes =
        differences(member.m.array(UInt8.self), other.m.array(UInt8.self))
        + differences(member.v.array(UInt8.self), other.v.array(UInt8.self))
      results.append(CheckResult(name: "\(name): codes", error: codes, tolerance: 0))
      return results
    }
  }
}
