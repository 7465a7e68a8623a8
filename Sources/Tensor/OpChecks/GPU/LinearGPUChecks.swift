import SwiftletCUDA
import SwiftletOps
import SwiftletTensorCore

extension GPUCheck {
  /// Linear maps with adapters: alone, in groups, as a whole MLP branch.
  static let linear: [GPUCheck] = [adapters, groups, branches]

  private static let dropout = Dropout(probability: 0.3, random: Random(seed: 9))

  /// What a map has beside its weight and adapter.
  private enum Extra: CaseIterable {
    case none, dropout, magnitude, both
    var isDropped: Bool { self == .dropout || self == .both }
    var hasMagnitude: Bool { self == .magnitude || self == .both }
  }

  private static let adapters = GPUCheck("loraLinear") { device in
    try Extra.allCases.flatMap { extra in
      let (rows, inputs, outputs, rank) = (33, 128, 72, 8)
      let weight = normal(2, [outputs, inputs], scale: 0.2)
      let parameters = matrices(3, inputs, outputs, rank) + [normal(5, [outputs]), positive(6, [outputs])]
      return try OpComparison(
        "loraLinear \(extra)", [normal(1, [rows, inputs])], parameters: parameters, noise: 2e-5, roundings: 2
      ) { given, place in
        // A magnitude is float32, like every vector that is trained.
        let lora = LoRAOperands(
          a: given[1], b: given[2], scale: 0.5, dropout: extra.isDropped ? dropout : nil,
          magnitude: extra.hasMagnitude ? widened(given[4]) : nil)
        return [loraLinear(given[0], weight.onto(place, like: given[0]), bias: given[3], lora: lora)]
      }.run(on: device)
    }
  }

  private static let groups = GPUCheck("linearGroup") { device in
    try [Dropout?.none, dropout].flatMap { dropout -> [CheckResult] in
      let (rows, inputs, sizes) = (33, 128, [72, 24, 24])
      let weights = sizes.enumerated().map { normal(UInt64(2 + $0), [$1, inputs], scale: 0.2) }
      let parameters = sizes.enumerated().flatMap { matrices(UInt64(10 + 2 * $0), inputs, $1, 8 + 8 * $0) }
      let name = "linearGroup\(dropout == nil ? "" : " with dropout")"
      return try OpComparison(name, [normal(1, [rows, inputs])], parameters: parameters, noise: 2e-5, roundings: 2) { given, place in
        linearGroup(
          given[0],
          weights.enumerated().map { index, weight in
            // The last map has no dropout: maps of one group may differ.
            let lora = LoRAOperands(
              a: given[1 + 2 * index], b: given[2 + 2 * index], scale: 0.5, dropout: index == 2 ? nil : dropout)
            return LinearOperands(weight: .dense(weight.onto(place, like: given[0])), lora: lora)
          })
      }.run(on: device)
    }
  }

  private static let branches = GPUCheck("gatedMLP") { device in
    try [Dropout?.none, dropout].flatMap { dropout -> [CheckResult] in
      try [(false, Int?.none), (true, nil), (true, 8)].flatMap { isReplayed, tileRows -> [CheckResult] in
        let (rows, hidden, inner, rank) = (33, 64, 136, 8)
        let weights = [(hidden, inner), (hidden, inner), (inner, hidden)].enumerated().map {
          normal(UInt64(2 + $0), [$1.1, $1.0], scale: 0.15)
        }
        let parameters = [(hidden, inner), (hidden, inner), (inner, hidden)].enumerated().flatMap {
          matrices(UInt64(10 + 2 * $0), $1.0, $1.1, rank)
        }
        let norm = positive(7, [hidden])
        let how = isReplayed ? tileRows.map { " replayed by \($0)" } ?? " replayed" : ""
        let name = "gatedMLP\(dropout == nil ? "" : " with dropout")\(how)"
        return try OpComparison(name, [normal(1, [rows, hidden])], parameters: parameters, noise: 5e-5, roundings: 4) { given, place in
          let maps = weights.enumerated().map { index, weight in
            // A replay makes its parameters anew on its own tape, as layers do; here they have no gradient then.
            let (a, b) = (given[1 + 2 * index], given[2 + 2 * index])
            let lora = LoRAOperands(
              a: isReplayed ? a.detached : a, b: isReplayed ? b.detached : b, scale: 0.5, dropout: dropout)
            return LinearOperands(weight: .dense(weight.onto(place, like: given[0])), lora: lora)
          }
          let scale = RMSNormOperands(weight: norm.moved(to: place), epsilon: 1e-5, unitOffset: false)
          let branch = { (x: Tensor) in
            gatedMLPBranch(x, norm: scale, gate: maps[0], up: maps[1], down: maps[2], activation: .silu, tileRows: tileRows)
          }
          return [isReplayed ? checkpointed(given[0], branch) : branch(given[0])]
        }.run(on: device)
      }
    }
  }

  /// A [rank, inputs] and B [outputs, rank].
  private static func matrices(_ seed: UInt64, _ inputs: Int, _ outputs: Int, _ rank: Int) -> [Tensor] {
    [normal(seed, [rank, inputs], scale: 0.3), normal(seed + 1, [outputs, rank], scale: 0.3)]
  }

  /// Numbers around 1.
  private static func positive(_ seed: UInt64, _ shape: Shape) -> Tensor {
    Tensor(normal(seed, shape).array(Float.self).map { 1 + 0.1 * $0 }, shape)
  }
}

extension Tensor {
  /// A weight on the device of `x` and in its format. Its numbers have the 8 bits of bfloat16, so that both sides compute with the same.
  fileprivate func onto(_ place: Device, like x: Tensor) -> Tensor {
    let narrow = OpComparison.rounded(self, to: .bfloat16).float32
    return place.isCUDA ? OpComparison.rounded(narrow, to: x.dtype).moved(to: place) : narrow
  }
}
