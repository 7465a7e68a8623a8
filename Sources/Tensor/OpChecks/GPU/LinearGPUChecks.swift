import SwiftletCUDA
import SwiftletOps
import SwiftletTensorCore

extension GPUCheck {
  /// Linear maps with adapters: alone, in groups, as a whole MLP branch.
  static let linear: [GPUCheck] = [adapters, groups, tiles, branches]

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
    try [Extra.none, .dropout, .magnitude].flatMap { extra -> [CheckResult] in
      let (rows, inputs, sizes) = (33, 128, [72, 24, 24])
      let weights = sizes.enumerated().map { normal(UInt64(2 + $0), [$1, inputs], scale: 0.2) }
      let parameters =
        sizes.enumerated().flatMap { matrices(UInt64(10 + 2 * $0), inputs, $1, 8 + 8 * $0) } + sizes.map { positive(6, [$0]) }
        + sizes.map { normal(5, [$0]) }
      return try OpComparison(
        "linearGroup \(extra)", [normal(1, [rows, inputs])], parameters: parameters, noise: 2e-5, roundings: 2
      ) { given, place in
        linearGroup(
          given[0],
          weights.enumerated().map { index, weight in
            // The last map is a plain one: maps of one group may differ.
            let lora = LoRAOperands(
              a: given[1 + 2 * index], b: given[2 + 2 * index], scale: 0.5, dropout: extra.isDropped && index < 2 ? dropout : nil,
              magnitude: extra.hasMagnitude && index < 2 ? widened(given[7 + index]) : nil)
            // A bias that is trained takes the group apart.
            return LinearOperands(
              weight: .dense(weight.onto(place, like: given[0])), bias: index == 1 ? nil : given[10 + index].detached, lora: lora)
          })
      }.run(on: device)
    }
  }

  /// A norm and a group as blocks run them where memory comes first; 33 tokens are four tiles and one token.
  private static let tiles = GPUCheck("tiled") { device in
    let (inputs, sizes) = (128, [72, 24])
    let norm = positive(7, [inputs])
    let maps = sizes.enumerated().map { index, size in
      (weight: normal(UInt64(2 + index), [size, inputs], scale: 0.2), adapter: matrices(UInt64(10 + 2 * index), inputs, size, 8))
    }
    return try OpComparison("norm and group in tiles", [normal(1, [33, inputs])], noise: 2e-5, roundings: 2) { given, place in
      let operands = maps.map { map in
        let (a, b) = (map.adapter[0].onto(place, like: given[0]), map.adapter[1].onto(place, like: given[0]))
        return LinearOperands(weight: .dense(map.weight.onto(place, like: given[0])), lora: LoRAOperands(a: a, b: b, scale: 0.5))
      }
      let weight = norm.moved(to: place)
      return tiled(given[0], rows: 8) { _, part in linearGroup(rmsNorm(part, weight: weight, epsilon: 1e-5), operands) }
    }.run(on: device)
  }

  /// How a branch runs: as it is, or again in backward, all tokens at once or some at a time.
  private static let ways: [(name: String, isReplayed: Bool, tileRows: Int?)] = [
    ("", false, nil), (" replayed", true, nil), (" replayed by 8", true, 8),
  ]

  private static let branches = GPUCheck("gatedMLP") { device in
    // Magnitudes on all three maps, or on gate alone: a factor may be missing.
    try [(Extra.none, 0), (.dropout, 0), (.magnitude, 3), (.magnitude, 1)].flatMap { extra, magnitudes in
      try ways.flatMap { way -> [CheckResult] in
        let (rows, hidden, inner, rank) = (33, 64, 136, 8)
        let sizes = [(hidden, inner), (hidden, inner), (inner, hidden)]
        let weights = sizes.enumerated().map { normal(UInt64(2 + $0), [$1.1, $1.0], scale: 0.15) }
        let parameters =
          sizes.enumerated().flatMap { matrices(UInt64(10 + 2 * $0), $1.0, $1.1, rank) } + sizes.map { positive(6, [$0.1]) }
          + sizes.map { normal(5, [$0.1]) }
        let norm = positive(7, [hidden])
        let name = "gatedMLP \(extra)\(magnitudes == 1 ? " of gate" : "")\(way.name)"
        return try OpComparison(name, [normal(1, [rows, hidden])], parameters: parameters, noise: 5e-5, roundings: 4) { given, place in
          let scale = RMSNormOperands(weight: norm.moved(to: place), epsilon: 1e-5, unitOffset: false)
          let branch = { (given: [Tensor]) in
            let maps = weights.enumerated().map { index, weight in
              let lora = LoRAOperands(
                a: given[1 + 2 * index], b: given[2 + 2 * index], scale: 0.5, dropout: extra.isDropped ? dropout : nil,
                magnitude: index < magnitudes ? widened(given[7 + index]) : nil)
              // A bias that is trained takes the branch apart.
              let bias = extra == .dropout || index == 1 ? nil : given[10 + index].detached
              return LinearOperands(weight: .dense(weight.onto(place, like: given[0])), bias: bias, lora: lora)
            }
            return gatedMLPBranch(
              given[0], norm: scale, gate: maps[0], up: maps[1], down: maps[2], activation: .silu, tileRows: way.tileRows)
          }
          return [way.isReplayed ? replayed(given, branch) : branch(given)]
        }.run(on: device)
      }
    }
  }

  /// `body` as a checkpointed block runs it: backward runs it again. All inputs get gradients.
  private static func replayed(_ inputs: [Tensor], _ body: @escaping ([Tensor]) -> Tensor) -> Tensor {
    let output = body(inputs.map(\.detached))
    guard let tape = tape(of: inputs) else { return output }
    return tape.record("replayed", inputs, saving: inputs, outputs: [output], always: true) { context in
      guard let gradient = context.take() else { return context.needs.map { _ in nil } }
      let inner = Tape(isReplay: true)
      let boxes = context.saved.map { _ in GradientBox() }
      let again = body(zip(context.saved, boxes).map { inner.watch($0, for: $1) })
      inner.backward(from: again, seed: consume gradient)
      return boxes.map(\.gradient)
    }[0]
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
