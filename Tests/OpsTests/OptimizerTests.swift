import Foundation
import SwiftletOps
import SwiftletTensorCore
import Testing

@Suite struct OptimizerTests {
  static let isPresent = Fixtures.has("optim/optimizers.json")

  @Test(.enabled(if: isPresent, "no optim fixtures")) func updatesEqualTorch() throws {
    let file = try Fixtures.tensors("optim/optimizers.safetensors")
    let configs = try Fixtures.json("optim/optimizers.json")["optimizers"] as? [String: [String: Any]] ?? [:]
    var checked = 0
    for (name, config) in configs where config["lr"] != nil {
      for part in ["m", "v"] {
        guard let wanted = file["\(name).\(part)"], let initial = file["init.\(part)"], let gradients = file["grads.\(part)"] else {
          continue
        }
        let run = OptimizerRun(name: name, config: config, parameter: initial.copied())
        let tolerance: (Float, Float) = name.hasPrefix("muon") ? (1e-3, 1e-3) : (1e-6, 1e-5)
        for step in 1...wanted.shape[0] {
          let gradient = gradients.rows(step - 1..<step).reshaped(initial.shape)
          #expect(run.step(step, gradient), "no optimizer named \(name)")
          let after = wanted.rows(step - 1..<step)
          let worst = excess(run.parameter.array(Float.self), after.array(Float.self), absolute: tolerance.0, relative: tolerance.1)
          #expect(worst <= 0, "\(name).\(part), step \(step)")
        }
        checked += 1
      }
    }
    #expect(checked > 0)
  }

  @Test(.enabled(if: isPresent, "no optim fixtures")) func clippingEqualsTorch() throws {
    let file = try Fixtures.tensors("optim/optimizers.safetensors")
    let configs = try Fixtures.json("optim/optimizers.json")["optimizers"] as? [String: [String: Any]] ?? [:]
    guard let m = file["grads.m"], let v = file["grads.v"] else { return }
    let last = [m, v].map { $0.rows($0.shape[0] - 1..<$0.shape[0]) }
    let norm = gradientNorm(last)
    for (name, config) in configs where name.hasPrefix("clip_") {
      let maximum = Double(name.dropFirst(5)) ?? .nan
      #expect(abs(norm - ((config["norm_before"] as? NSNumber)?.doubleValue ?? 0)) < 1e-5 * norm)
      for (part, gradient) in zip(["m", "v"], last) {
        let factor = clipFactor(norm: norm, maximum: maximum)
        let wanted = file["\(name).\(part)"]?.array(Float.self) ?? []
        #expect(excess(gradient.array(Float.self).map { $0 * factor }, wanted, absolute: 1e-6, relative: 1e-5) <= 0, "\(name).\(part)")
      }
    }
  }
}

/// Optimizers that the fixtures do not have, against seven steps of torch 2.13.0.
@Suite struct AdamFamilyTests {
  private typealias Update = (_ parameter: Tensor, _ gradient: Tensor, _ a: Tensor, _ b: Tensor, _ c: Tensor, _ step: Int) -> Void

  private func expect(_ name: String, _ wanted: [Float], _ update: Update) {
    let gradients: [[Float]] = [
      [0.1, -0.4, 1.5], [-0.3, 0.2, 0.7], [0.05, 0.6, -0.9], [0.8, -0.1, 0.3], [0.2, 0.25, -0.35], [-0.6, 0.15, 0.45], [0.3, -0.5, 0.1],
    ]
    let parameter = Tensor([Float(0.5), -1.25, 2], [3])
    let (a, b, c) = (Tensor(zeros: [3]), Tensor(zeros: [3]), Tensor(zeros: [3]))
    for (index, gradient) in gradients.enumerated() { update(parameter, Tensor(gradient, [3]), a, b, c, index + 1) }
    let found = parameter.array(Float.self)
    #expect(excess(found, wanted, absolute: 1e-6, relative: 1e-5) <= 0, "\(name): \(found), wanted \(wanted)")
  }

  @Test func updatesEqualTorch() {
    expect("Adamax", [0.468726069, -1.21964312, 1.93818605]) {
      Adamax.update(parameter: $0, gradient: $1, m: $2, largest: $3, step: $5, learningRate: 0.02, weightDecay: 0.1)
    }
    expect("NAdam", [0.46032533, -1.2231096, 1.95131123]) {
      NAdam.update(parameter: $0, gradient: $1, m: $2, v: $3, step: $5, learningRate: 0.02, weightDecay: 0.1)
    }
    expect("NAdam, decoupled", [0.464960545, -1.23599291, 1.93958056]) {
      NAdam.update(parameter: $0, gradient: $1, m: $2, v: $3, step: $5, learningRate: 0.02, weightDecay: 0.1, decoupled: true)
    }
    expect("RAdam", [0.488099545, -1.2354635, 1.91115403]) {
      RAdam.update(parameter: $0, gradient: $1, m: $2, v: $3, step: $5, learningRate: 0.02, weightDecay: 0.1)
    }
    expect("RAdam, β₂ 0.9", [0.491853476, -1.25045049, 1.92786705]) {
      RAdam.update(parameter: $0, gradient: $1, m: $2, v: $3, step: $5, learningRate: 0.02, beta2: 0.9)
    }
    expect("Adadelta", [0.492111593, -1.24634278, 1.99286747]) { p, g, a, b, _, _ in
      Adadelta.update(parameter: p, gradient: g, square: a, moves: b, weightDecay: 0.1)
    }
    expect("RMSprop, centred", [-0.52799952, -0.787842095, 0.617329776]) { p, g, a, b, c, _ in
      RMSprop.update(
        parameter: p, gradient: g, square: a, mean: b, momentumBuffer: c, learningRate: 0.02, weightDecay: 0.1, momentum: 0.9)
    }
  }
}

/// One optimizer of the fixtures on one parameter.
private final class OptimizerRun {
  let name: String
  let config: [String: Any]
  let parameter: Tensor
  private var states: [String: Tensor] = [:]
  private let factored: Adafactor.State

  init(name: String, config: [String: Any], parameter: Tensor) {
    self.name = name
    self.config = config
    self.parameter = parameter
    factored = Adafactor.State(for: parameter.shape, hasFirstMoment: config["beta1"] is NSNumber)
  }

  private func number(_ key: String) -> Float { (config[key] as? NSNumber)?.floatValue ?? 0 }
  private func flag(_ key: String) -> Bool { (config[key] as? NSNumber)?.boolValue ?? false }
  private func list(_ key: String) -> [Float?] { (config[key] as? [Any] ?? []).map { ($0 as? NSNumber)?.floatValue } }
  private func state(_ key: String) -> Tensor {
    if let known = states[key] { return known }
    let new = Tensor(zeros: parameter.shape)
    states[key] = new
    return new
  }

  /// False where the name is unknown.
  func step(_ step: Int, _ gradient: Tensor) -> Bool {
    let betas = list("betas").map { $0 ?? 0 }
    switch name.prefix(while: { $0 != "_" }) {
    case "adamw", "adam":
      AdamW.update(
        parameter: parameter, gradient: gradient, m: state("m"), v: state("v"), step: step, learningRate: number("lr"), beta1: betas[0],
        beta2: betas[1], epsilon: number("eps"), weightDecay: number("weight_decay"), decoupled: flag("decoupled_weight_decay"),
        largest: flag("amsgrad") ? state("largest") : nil)
    case "sgd":
      SGD.update(
        parameter: parameter, gradient: gradient, momentumBuffer: number("momentum") != 0 ? state("m") : nil, step: step,
        learningRate: number("lr"), momentum: number("momentum"), dampening: number("dampening"), weightDecay: number("weight_decay"),
        nesterov: flag("nesterov"))
    case "rmsprop":
      RMSprop.update(
        parameter: parameter, gradient: gradient, square: state("v"), mean: flag("centered") ? state("mean") : nil,
        momentumBuffer: number("momentum") != 0 ? state("m") : nil, learningRate: number("lr"), alpha: number("alpha"),
        epsilon: number("eps"), weightDecay: number("weight_decay"), momentum: number("momentum"))
    case "adagrad":
      Adagrad.update(
        parameter: parameter, gradient: gradient, sum: state("v"), step: step, learningRate: number("lr"), rateDecay: number("lr_decay"),
        epsilon: number("eps"), weightDecay: number("weight_decay"))
    case "adafactor": adafactor(step, gradient)
    case "muon":
      let c = list("ns_coefficients").map { $0 ?? 0 }
      Muon.update(
        parameter: parameter, gradient: gradient, momentumBuffer: state("m"), learningRate: number("lr"),
        weightDecay: number("weight_decay"), momentum: number("momentum"), nesterov: flag("nesterov"), coefficients: (c[0], c[1], c[2]),
        epsilon: number("eps"), steps: Int(number("ns_steps")),
        rule: config["adjust_lr_fn"] as? String == "match_rms_adamw" ? .matchRMSAdamW : .original)
    default: return false
    }
    return true
  }

  private func adafactor(_ step: Int, _ gradient: Tensor) {
    let eps = list("eps")
    if config["d"] != nil {
      Adafactor.updateTorch(
        parameter: parameter, gradient: gradient, state: factored, step: step, learningRate: number("lr"),
        beta2Decay: number("beta2_decay"),
        epsilon: (eps[0], eps[1] ?? 0), d: number("d"), weightDecay: number("weight_decay"))
    } else {
      Adafactor.updateHF(
        parameter: parameter, gradient: gradient, state: factored, step: step, learningRate: flag("relative_step") ? nil : number("lr"),
        epsilon: (eps[0] ?? 0, eps[1] ?? 0), clipThreshold: number("clip_threshold"), decayRate: number("decay_rate"),
        beta1: config["beta1"] is NSNumber ? number("beta1") : nil, weightDecay: number("weight_decay"),
        scaleParameter: flag("scale_parameter"), warmup: flag("warmup_init"))
    }
  }
}
