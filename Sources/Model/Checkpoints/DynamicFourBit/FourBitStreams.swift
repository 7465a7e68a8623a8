import SwiftletCPU
import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore

/// What a model answers with some of its linear layers in 4 bits, for many choices of them at once, against all of them exact.
///
/// It streams block by block: the hidden states of every choice pass a block before the next block's weights are made. So a block's weights are
/// read and coded once for each pack of tokens. Cost: half a forward pass a unit and token where each choice is one unit. Memory: one block twice,
/// and bytes of a number · tokens of a pack · width for each choice, an eighth of the device's memory at most,
/// and as much again while answers are compared.
struct FourBitStreams {
  let network: CausalLM
  let units: [FourBitUnit]

  /// How far a choice's answers are from the exact ones.
  struct Movement {
    /// Of the next-token distributions.
    var answers = LogitComparison()
    /// ‖y′ − y‖² and ‖y − x‖², summed over the tokens: how much the first block that has codes moves its output y, and what it adds to its input x.
    var (moved, added) = (0.0, 0.0)
    /// Their quotient.
    var outputError: Double { added > 0 ? moved / added : 0 }
  }

  /// Most tokens that stream together.
  private static let packTokens = 1024
  /// Tokens whose logits are written out together.
  private static let logitTokens = 64

  /// Compares the model with the units of each choice, by their numbers, in 4 bits.
  /// - Parameter rows: sequences of token ids, none empty.
  func movements(_ choices: [Set<Int>], on rows: [[Int32]]) throws -> [Movement] {
    var movements = choices.map { _ in Movement() }
    for pack in packs(rows, choices: choices.count) { try stream(pack, choices, &movements) }
    return movements
  }

  /// The mean square of each input of every unit's layers, all of them exact, by the weights' names. Cost: a forward pass.
  /// - Parameter rows: sequences of token ids, none empty.
  func inputSquares(on rows: [[Int32]]) throws -> [String: [BFloat16]] {
    let squares = InputSquares(of: Set(units.flatMap { $0.linears.map(\.weight.parameter.name) }))
    for pack in packs(rows, choices: 1) {
      let context = ForwardContext(lengths: pack.map(\.count))
      context.inputObserver = squares.add
      var hidden = network.embedded(ids: pack.flatMap(\.self), context)
      for block in 0..<network.layerCount {
        let weights = try WeightStandIns(numbered(block), network.placement, withCodes: false)
        defer { weights.restore() }
        hidden = network.block(block, hidden, context)
      }
    }
    return squares.means
  }

  /// The units of a block with their numbers.
  private func numbered(_ block: Int) -> [(Int, FourBitUnit)] {
    units.enumerated().filter { $0.element.block == block }.map { ($0.offset, $0.element) }
  }

  private func packs(_ rows: [[Int32]], choices: Int) -> [[[Int32]]] {
    let (device, width) = (network.placement.device, network.decoder.hiddenSize * network.placement.computeType.size)
    let memory = device.isCUDA ? device.gpu.totalMemory : ProcessMemory.totalBytes
    let most = min(Self.packTokens, memory / 8 / max(1, choices * width))
    var (packs, tokens): ([[[Int32]]], Int) = ([], 0)
    for row in rows {
      if packs.isEmpty || tokens + row.count > most { (packs, tokens) = (packs + [[]], 0) }
      packs[packs.count - 1].append(row)
      tokens += row.count
    }
    return packs
  }

  private func stream(_ rows: [[Int32]], _ choices: [Set<Int>], _ movements: inout [Movement]) throws {
    let context = ForwardContext(lengths: rows.map(\.count))
    var exact = network.embedded(ids: rows.flatMap(\.self), context)
    // nil as long as a choice has not met a unit in 4 bits.
    var states = [Tensor?](repeating: nil, count: choices.count)
    for block in 0..<network.layerCount {
      let here = numbered(block)
      let weights = try WeightStandIns(here, network.placement)
      defer { weights.restore() }
      let (input, numbers) = (exact, Set(here.map(\.0)))
      exact = network.block(block, input, context)
      for (index, choice) in choices.enumerated() {
        let coded = choice.intersection(numbers)
        if states[index] == nil && coded.isEmpty { continue }
        weights.code(coded)
        let output = network.block(block, states[index] ?? input, context)
        if states[index] == nil { movements[index].note(output, exact, input) }
        states[index] = output
      }
    }
    compare(exact, states, context, &movements)
  }

  private func compare(_ exact: Tensor, _ states: [Tensor?], _ context: ForwardContext, _ movements: inout [Movement]) {
    let tokens = exact.shape[0]
    let (exact, states) = (network.normalised(exact), states.map { $0.map(network.normalised) })
    for start in stride(from: 0, to: tokens, by: Self.logitTokens) {
      let range = start..<min(tokens, start + Self.logitTokens)
      func logits(_ hidden: Tensor) -> Tensor { network.logits(hidden: hidden.rows(range), context) }
      let reference = logits(exact)
      for (index, state) in states.enumerated() {
        movements[index].answers.add(reference, state.map(logits) ?? reference)
      }
    }
  }
}

extension FourBitStreams.Movement {
  fileprivate mutating func note(_ output: Tensor, _ exact: Tensor, _ input: Tensor) {
    func floats(_ x: Tensor) -> [Float] { x.moved(to: .cpu).converted(to: .float32).array() }
    let (y, z, x) = (floats(output), floats(exact), floats(input))
    for i in z.indices {
      moved += Double(y[i] - z[i]) * Double(y[i] - z[i])
      added += Double(z[i] - x[i]) * Double(z[i] - x[i])
    }
  }
}
