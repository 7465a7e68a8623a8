import SwiftletOptimizers

extension Schedule: RecipeChoice {
  package static var choices: [String] {
    ["linear", "cosine", "constant", "cosineWithRestarts", "polynomial", "inverseSquareRoot", "warmupStableDecay"]
  }

  package init?(choice name: String) {
    switch name {
    case "linear": self = .linear()
    case "cosine": self = .cosine()
    case "constant": self = .constant()
    case "cosineWithRestarts": self = .cosineWithRestarts()
    case "polynomial": self = .polynomial()
    case "inverseSquareRoot": self = .inverseSquareRoot()
    case "warmupStableDecay": self = .warmupStableDecay()
    default: return nil
    }
  }

  package var choice: String {
    switch self {
    case .linear: "linear"
    case .cosine: "cosine"
    case .constant: "constant"
    case .cosineWithRestarts: "cosineWithRestarts"
    case .polynomial: "polynomial"
    case .inverseSquareRoot: "inverseSquareRoot"
    case .warmupStableDecay: "warmupStableDecay"
    }
  }

  package mutating func fields(_ visit: inout FieldVisitor) {
    switch self {
    case .linear(var warmup):
      visit.field("warmup", &warmup)
      self = .linear(warmup: warmup)
    case .constant(var warmup):
      visit.field("warmup", &warmup)
      self = .constant(warmup: warmup)
    case .cosine(var warmup, var cycles, var minimum):
      visit.field("warmup", &warmup)
      visit.field("cycles", &cycles)
      visit.field("minimum", &minimum)
      self = .cosine(warmup: warmup, cycles: cycles, minimum: minimum)
    case .cosineWithRestarts(var warmup, var cycles):
      visit.field("warmup", &warmup)
      visit.field("cycles", &cycles)
      self = .cosineWithRestarts(warmup: warmup, cycles: cycles)
    case .polynomial(var warmup, var power, var end):
      visit.field("warmup", &warmup)
      visit.field("power", &power)
      visit.field("end", &end)
      self = .polynomial(warmup: warmup, power: power, end: end)
    case .inverseSquareRoot(var warmup, var timescale):
      visit.field("warmup", &warmup)
      visit.field("timescale", &timescale)
      self = .inverseSquareRoot(warmup: warmup, timescale: timescale)
    case .warmupStableDecay(var warmup, var decay, var warmupShape, var decayShape, var minimum, var cycles):
      visit.field("warmup", &warmup)
      visit.field("decay", &decay)
      visit.field("warmupShape", &warmupShape)
      visit.field("decayShape", &decayShape)
      visit.field("minimum", &minimum)
      visit.field("cycles", &cycles)
      self = .warmupStableDecay(
        warmup: warmup, decay: decay, warmupShape: warmupShape, decayShape: decayShape, minimum: minimum, cycles: cycles)
    }
  }
}
