import Foundation
import SwiftletFormats
import SwiftletOps
import SwiftletOptimizers
import SwiftletTensorCore
import TestSupport

/// Optimizers step by step, clipping, and learning-rate schedules.
enum OptimizersParity {
  static func run(_ root: URL, _ tally: Tally) throws {
    try optimizers(root, tally)
    try schedules(root, tally)
  }

  private static func optimizers(_ root: URL, _ tally: Tally) throws {
    let numbers = try ReferenceTensors(root.appending(path: "optimizers.safetensors"))
    let file = try Fixtures.json(root.appending(path: "optimizers.json"))
    for (name, settings) in file["optimizers"]?.object ?? JSONObject() {
      if name.hasPrefix("clip_") {
        tally.check(name) { try clipping(name, settings, numbers) }
      } else {
        for part in ["m", "v"] where numbers.has("\(name).\(part)") {
          tally.check("\(name).\(part)") { try steps(name, settings, part, numbers) }
        }
      }
    }
  }

  /// All steps of one parameter; each must agree.
  private static func steps(_ name: String, _ settings: JSON, _ part: String, _ numbers: ReferenceTensors) throws -> String? {
    let shape = Shape(try numbers.shape("init.\(part)"))
    let parameter = Tensor(try numbers.floats("init.\(part)"), shape)
    let (gradients, wanted) = (try numbers.floats("grads.\(part)"), try numbers.floats("\(name).\(part)"))
    guard let optimizer = SomeOptimizer(name, settings, shape) else { return "an unknown optimizer" }
    let tolerance: Float = name.hasPrefix("muon") ? 1e-3 : 1e-6
    for step in 0..<wanted.count / shape.count {
      let range = step * shape.count..<(step + 1) * shape.count
      optimizer.update(parameter, Tensor(Array(gradients[range]), shape), step: step + 1)
      if let reason = difference(parameter.array(Float.self), Array(wanted[range]), absolute: tolerance, relative: 1e-5) {
        return "step \(step + 1) \(reason)"
      }
    }
    return nil
  }

  private static func clipping(_ name: String, _ settings: JSON, _ numbers: ReferenceTensors) throws -> String? {
    guard let maximum = Double(name.dropFirst("clip_".count)) else { return "the name has no number" }
    let last = try ["m", "v"].map { part in
      let shape = Shape(try numbers.shape("init.\(part)"))
      return Tensor(Array(try numbers.floats("grads.\(part)").suffix(shape.count)), shape)
    }
    let norm = gradientNorm(last)
    let wanted = Float(settings["norm_before"]?.double ?? .nan)
    if let reason = difference([Float(norm)], [wanted], absolute: 1e-6, relative: 1e-5) { return "norm \(reason)" }
    let factor = clipFactor(norm: norm, maximum: maximum)
    for (part, gradient) in zip(["m", "v"], last) {
      let found = gradient.array(Float.self).map { $0 * factor }
      if let reason = difference(found, try numbers.floats("\(name).\(part)"), absolute: 1e-6, relative: 1e-5) { return "\(part)\(reason)" }
    }
    return nil
  }

  private static func schedules(_ root: URL, _ tally: Tally) throws {
    for (name, entry) in try Fixtures.json(root.appending(path: "schedules.json")).object ?? JSONObject() {
      tally.check("schedule \(name)") {
        guard let schedule = schedule(name, entry) else { return "an unknown schedule" }
        let (total, peak) = (entry["total"]?.int ?? 0, entry["base_lr"]?.double ?? 0)
        let wanted = (entry["lr_used_at_step"]?.array ?? []).map { $0.double ?? .nan }
        for (step, rate) in wanted.enumerated() {
          let found = schedule.rate(step: step, total: total, peak: peak)
          if !(abs(found - rate) <= 1e-12 + 1e-6 * abs(rate)) { return "step \(step) has \(found), want \(rate)" }
        }
        return nil
      }
    }
  }

  /// The schedule that transformers calls `name`.
  private static func schedule(_ name: String, _ entry: JSON) -> Schedule? {
    let options = entry["kwargs"]
    let warmup = entry["warmup"]?.double ?? 0
    func number(_ key: String, _ standard: Double) -> Double { options?[key]?.double ?? standard }
    if name.hasPrefix("warmup_stable_decay") {
      func shape(_ key: String) -> RampShape { options?[key]?.string.flatMap(RampShape.init) ?? .linear }
      return .warmupStableDecay(
        warmup: warmup, decay: number("num_decay_steps", 0), warmupShape: shape("warmup_type"), decayShape: shape("decay_type"),
        minimum: number("min_lr_ratio", 0), cycles: number("num_cycles", 0.5))
    }
    switch name {
    case "constant": return .constant()
    case "constant_with_warmup": return .constant(warmup: warmup)
    case "linear": return .linear(warmup: warmup)
    case "cosine", "cosine_with_min_lr":
      return .cosine(warmup: warmup, cycles: number("num_cycles", 0.5), minimum: number("min_lr_rate", 0))
    case "cosine_with_restarts": return .cosineWithRestarts(warmup: warmup, cycles: Int(number("num_cycles", 1)))
    case "polynomial": return .polynomial(warmup: warmup, power: number("power", 1), end: number("lr_end", 1e-7))
    case "inverse_sqrt": return .inverseSquareRoot(warmup: warmup, timescale: options?["timescale"]?.int)
    default: return nil
    }
  }
}

/// An optimizer of the library with its state for one parameter, chosen by the name that PyTorch and transformers give it.
private struct SomeOptimizer {
  private let step: (Tensor, Tensor, Int) -> Void

  func update(_ parameter: Tensor, _ gradient: Tensor, step: Int) { self.step(parameter, gradient, step) }

  init?(_ name: String, _ settings: JSON, _ shape: Shape) {
    func number(_ key: String, _ standard: Double = 0) -> Float { Float(settings[key]?.double ?? standard) }
    func flag(_ key: String) -> Bool { settings[key]?.bool ?? false }
    func zeros() -> Tensor { Tensor(zeros: shape) }
    let (rate, decay) = (number("lr"), number("weight_decay"))
    let betas = settings["betas"]?.flatFloats ?? [0.9, 0.999]
    switch name.prefix(while: { $0 != "_" }) {
    case "adamw", "adam":
      let (m, v, largest) = (zeros(), zeros(), flag("amsgrad") ? zeros() : nil)
      step = {
        AdamW.update(
          parameter: $0, gradient: $1, m: m, v: v, step: $2, learningRate: rate, beta1: betas[0], beta2: betas[1], epsilon: number("eps"),
          weightDecay: decay, decoupled: flag("decoupled_weight_decay"), largest: largest)
      }
    case "sgd":
      let buffer = number("momentum") > 0 ? zeros() : nil
      step = {
        SGD.update(
          parameter: $0, gradient: $1, momentumBuffer: buffer, step: $2, learningRate: rate, momentum: number("momentum"),
          dampening: number("dampening"), weightDecay: decay, nesterov: flag("nesterov"))
      }
    case "rmsprop":
      let (square, mean) = (zeros(), flag("centered") ? zeros() : nil)
      let buffer = number("momentum") > 0 ? zeros() : nil
      step = { parameter, gradient, _ in
        RMSprop.update(
          parameter: parameter, gradient: gradient, square: square, mean: mean, momentumBuffer: buffer, learningRate: rate,
          alpha: number("alpha"), epsilon: number("eps"), weightDecay: decay, momentum: number("momentum"))
      }
    case "adagrad":
      let sum = zeros()
      step = {
        Adagrad.update(
          parameter: $0, gradient: $1, sum: sum, step: $2, learningRate: rate, rateDecay: number("lr_decay"), epsilon: number("eps"),
          weightDecay: decay)
      }
    case "adafactor": step = Self.adafactor(settings, shape)
    case "muon":
      let buffer = zeros()
      step = { parameter, gradient, _ in
        Muon.update(
          parameter: parameter, gradient: gradient, momentumBuffer: buffer, learningRate: rate, weightDecay: decay,
          momentum: number("momentum"), nesterov: flag("nesterov"), epsilon: number("eps"), steps: settings["ns_steps"]?.int ?? 5,
          rule: settings["adjust_lr_fn"]?.string == "match_rms_adamw" ? .matchRMSAdamW : .original)
      }
    default:
      guard let step = Self.adamFamily(name, settings, shape) else { return nil }
      self.step = step
    }
  }

  private static func adamFamily(_ name: String, _ settings: JSON, _ shape: Shape) -> ((Tensor, Tensor, Int) -> Void)? {
    func number(_ key: String, _ standard: Double = 0) -> Float { Float(settings[key]?.double ?? standard) }
    let (rate, decay, epsilon) = (number("lr"), number("weight_decay"), number("eps"))
    let decoupled = settings["decoupled_weight_decay"]?.bool ?? false
    let betas = settings["betas"]?.flatFloats ?? [0.9, 0.999]
    let (first, second) = (Tensor(zeros: shape), Tensor(zeros: shape))
    switch name.prefix(while: { $0 != "_" }) {
    case "adamax":
      return {
        Adamax.update(
          parameter: $0, gradient: $1, m: first, largest: second, step: $2, learningRate: rate, beta1: betas[0], beta2: betas[1],
          epsilon: epsilon, weightDecay: decay)
      }
    case "nadam", "nadamw":
      return {
        NAdam.update(
          parameter: $0, gradient: $1, m: first, v: second, step: $2, learningRate: rate, beta1: betas[0], beta2: betas[1],
          epsilon: epsilon, weightDecay: decay, momentumDecay: settings["momentum_decay"]?.double ?? 4e-3, decoupled: decoupled)
      }
    case "radam", "radamw":
      return {
        RAdam.update(
          parameter: $0, gradient: $1, m: first, v: second, step: $2, learningRate: rate, beta1: betas[0], beta2: betas[1],
          epsilon: epsilon, weightDecay: decay, decoupled: decoupled)
      }
    case "adadelta":
      return { parameter, gradient, _ in
        Adadelta.update(
          parameter: parameter, gradient: gradient, square: first, moves: second, learningRate: rate, rho: number("rho", 0.9),
          epsilon: epsilon, weightDecay: decay)
      }
    case "lion":
      return { parameter, gradient, _ in
        Lion.update(
          parameter: parameter, gradient: gradient, m: first, learningRate: rate, beta1: betas[0], beta2: betas[1], weightDecay: decay)
      }
    default: return nil
    }
  }

  /// PyTorch's, which has `beta2_decay`, or transformers'.
  private static func adafactor(_ settings: JSON, _ shape: Shape) -> (Tensor, Tensor, Int) -> Void {
    func number(_ key: String, _ standard: Double = 0) -> Float { Float(settings[key]?.double ?? standard) }
    let beta1 = settings["beta1"]?.double.map(Float.init)
    let state = Adafactor.State(for: shape, hasFirstMoment: beta1 != nil)
    let epsilon = (settings["eps"]?.array ?? []).map { $0.double.map(Float.init) }
    if settings["beta2_decay"] != nil {
      return {
        Adafactor.updateTorch(
          parameter: $0, gradient: $1, state: state, step: $2, learningRate: number("lr"), beta2Decay: number("beta2_decay"),
          epsilon: (epsilon.first ?? nil, (epsilon.last ?? nil) ?? 1e-3), d: number("d", 1), weightDecay: number("weight_decay"))
      }
    }
    return {
      Adafactor.updateHF(
        parameter: $0, gradient: $1, state: state, step: $2, learningRate: settings["lr"]?.double.map(Float.init),
        epsilon: ((epsilon.first ?? nil) ?? 1e-30, (epsilon.last ?? nil) ?? 1e-3), clipThreshold: number("clip_threshold", 1),
        decayRate: number("decay_rate", -0.8), beta1: beta1, weightDecay: number("weight_decay"),
        scaleParameter: settings["scale_parameter"]?.bool ?? true, warmup: settings["warmup_init"]?.bool ?? false)
    }
  }
}
