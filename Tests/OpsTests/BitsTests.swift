import SwiftletCPU
import SwiftletOpChecks
import SwiftletOps
import SwiftletTensorCore
import Testing

/// Results that must be the same to the last bit.
@Suite(.serialized) struct BitsTests {
  static func random(_ stream: UInt64, _ shape: Shape) -> Tensor { Tensor.normal(shape, random: Random(seed: 8, stream: stream)) }

  static let options = AttentionOptions(heads: 4, keyValueHeads: 2, headDimension: 24, scale: 0.2, window: 90, softCap: 20)
  static var weights: [Tensor] {
    [random(1, [96, 64]), random(2, [48, 64]), random(3, [48, 64]), random(4, [64, 96]), random(5, [128, 64])]
  }

  /// A small block with everything in it; every weight, the adapter and the input get gradients.
  static func block(_ x: Tensor, _ w: [Tensor], layout: SequenceLayout) -> Tensor {
    let lora = LoRAOperands(a: w[5], b: w[6], scale: 0.5, dropout: Dropout(probability: 0.2, random: Random(seed: 3)))
    let normed = rmsNorm(x, weight: w[7], epsilon: 1e-6)
    let q = loraLinear(normed, w[0], lora: lora)
    let attended = attention(q, linear(normed, w[1]), linear(normed, w[2]), sinks: w[8], layout: layout, options)
    let y = add(x, linear(attended, w[3]))
    let hidden = linear(y, w[4])
    let parts = splitColumns(hidden, [64, 64])
    return add(y, swiGLU(parts[0], parts[1]))
  }

  static var all: [Tensor] { weights + [random(6, [4, 64]), random(7, [96, 4]), random(8, [64]), random(9, [4])] }

  /// Output and all gradients.
  static func bits(checkpoint: Bool) -> [[Float]] {
    let (layout, all) = (SequenceLayout(lengths: [130, 7, 61]), all)
    let (tape, boxes) = (Tape(), (0...all.count).map { _ in GradientBox() })
    let x = tape.watch(random(10, [198, 64]), for: boxes[all.count])
    let output =
      checkpoint
      ? checkpointed(x) { x in
        let inner = x.trace.map(\.tape)
        let w = zip(all, boxes).map { inner?.watch($0, for: $1) ?? $0 }
        return block(x, w, layout: layout)
      }
      : block(x, zip(all, boxes).map { tape.watch($0, for: $1) }, layout: layout)
    let value = output.array(Float.self)
    tape.backward(from: output, seed: random(11, [198, 64]))
    return [value] + boxes.map { $0.gradient?.array(Float.self) ?? [] }
  }

  @Test func checkpointingChangesNothing() {
    let (plain, replayed) = (Self.bits(checkpoint: false), Self.bits(checkpoint: true))
    #expect(plain.allSatisfy { !$0.isEmpty })
    #expect(plain == replayed)
  }

  @Test func threadsChangeNothing() {
    let before = Parallel.threads
    defer { Parallel.threads = before }
    Parallel.threads = 1
    let one = Self.bits(checkpoint: false)
    Parallel.threads = 2
    #expect(one == Self.bits(checkpoint: false))
  }

  @Test func rowsDoNotSeeTheirNeighbours() {
    let lengths = [33, 1, 127, 64]
    let x = Self.random(20, [225, 64])
    // Dropout counts rows of the stream, so it is left out here.
    let run = { (x: Tensor, lengths: [Int]) -> [Float] in
      let w = Self.all
      let normed = rmsNorm(x, weight: w[7], epsilon: 1e-6)
      let q = loraLinear(normed, w[0], lora: LoRAOperands(a: w[5], b: w[6], scale: 0.5))
      let y = attention(q, linear(normed, w[1]), linear(normed, w[2]), sinks: w[8], layout: SequenceLayout(lengths: lengths), Self.options)
      return headLogits(swiGLU(linear(y, w[3]), x), .dense(w[4])).array(Float.self)
    }
    var start = 0
    let alone = lengths.flatMap { length -> [Float] in
      defer { start += length }
      return run(x.rows(start..<start + length), [length])
    }
    #expect(run(x, lengths) == alone)
  }

  @Test func cachedAttentionIsAttention() {
    for item in [1, 2, 63, 64, 65, 129, 200] {
      let (q, k, v) = (Self.random(30, [item, 96]), Self.random(31, [item, 48]), Self.random(32, [item, 48]))
      let sinks = Self.random(33, [4])
      let whole = attention(q, k, v, sinks: sinks, layout: SequenceLayout(lengths: [item]), Self.options).array(Float.self)
      for start in Set([0, item / 3, item - 1]) {
        let part = cachedAttention(
          q.rows(start..<item), keys: [k], values: [v], sinks: sinks, queryStarts: [0, item - start], Self.options)
        #expect(part.array(Float.self) == Array(whole[(start * 96)...]), "\(item) tokens from \(start)")
      }
    }
  }

  @Test func cachedAttentionOfABatchIsThatOfEach() {
    let lengths = [5, 90, 1]
    let keys = lengths.map { Self.random(UInt64(40 + $0), [$0, 48]) }
    let queries = Self.random(44, [3, 96])
    let together = cachedAttention(queries, keys: keys, values: keys, queryStarts: [0, 1, 2, 3], Self.options).array(Float.self)
    let alone = (0..<3).flatMap {
      cachedAttention(queries.rows($0..<$0 + 1), keys: [keys[$0]], values: [keys[$0]], queryStarts: [0, 1], Self.options).array(Float.self)
    }
    #expect(together == alone)
  }

  @Test func dropoutIsAFunctionOfItsPlace() {
    let (x, w, a, b) = (
      Tensor([Float](repeating: 1, count: 64 * 100), [64, 100]), Tensor(zeros: [1, 100]), Self.random(1, [100, 100]),
      Self.random(2, [1, 100])
    )
    let run = { (seed: UInt64) in
      loraLinear(x, w, lora: LoRAOperands(a: a, b: b, scale: 1, dropout: Dropout(probability: 0.25, random: Random(seed: seed)))).array(
        Float.self)
    }
    #expect(run(1) == run(1))
    #expect(run(1) != run(2))
    // With A a row of ones and B one, the output is the sum of the kept inputs: its mean is that of the inputs.
    let ones = Tensor([Float](repeating: 1, count: 100), [1, 100])
    let one = Tensor([Float(1)], [1, 1])
    let sums = loraLinear(
      x, w, lora: LoRAOperands(a: ones, b: one, scale: 1, dropout: Dropout(probability: 0.25, random: Random(seed: 5)))
    ).array(Float.self)
    #expect(abs(sums.reduce(0, +) / 64 - 100) < 2)
  }

  @Test func randomFillsHaveTheirMoments() {
    let x = Tensor.normal([1000, 100], standardDeviation: 2, random: Random(seed: 1)).array(Float.self)
    let mean = x.reduce(0.0) { $0 + Double($1) } / 1e5
    #expect(abs(mean) < 0.03)
    #expect(abs(x.reduce(0.0) { $0 + Double($1) * Double($1) } / 1e5 - 4) < 0.08)
    let u = Tensor(uninitialized: [1000, 100])
    u.fillKaimingUniform(random: Random(seed: 2))
    #expect(u.array(Float.self).allSatisfy { $0 >= -0.1 && $0 < 0.1 })
    #expect(abs(u.array(Float.self).reduce(0.0) { $0 + Double($1) * Double($1) } / 1e5 - 0.01 / 3) < 1e-4)
  }
}
