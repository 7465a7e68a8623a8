import SwiftletCPU
import SwiftletOpChecks
import SwiftletOps
import SwiftletTensorCore
import Testing

/// Weights in the blocks of GGUF files: products with them have the bits of products with their numbers.
@Suite struct BlockWeightTests {
  /// Output, and gradients of the input and of the adapter.
  private static func map(_ weight: LinearWeight, rows: Int, dora: Bool) -> [[Float]] {
    let rank = 3
    let (tape, boxes) = (Tape(), (0..<4).map { _ in GradientBox() })
    let x = tape.watch(BitsTests.random(1, [rows, weight.inputs]), for: boxes[0])
    let a = tape.watch(BitsTests.random(2, [rank, weight.inputs]), for: boxes[1])
    let b = tape.watch(BitsTests.random(3, [weight.outputs, rank]), for: boxes[2])
    let magnitude = dora ? tape.watch(BitsTests.random(4, [weight.outputs]), for: boxes[3]) : nil
    let dropout = dora ? Dropout(probability: 0.2, random: Random(seed: 3)) : nil
    let lora = LoRAOperands(a: a, b: b, scale: 0.5, dropout: dropout, magnitude: magnitude)
    let y = linear(linear(x, LinearOperands(weight: weight, lora: lora)), BitsTests.random(5, [7, weight.outputs]))
    let value = y.array(Float.self)
    tape.backward(from: y, seed: BitsTests.random(6, [rows, 7]))
    return [value] + boxes.prefix(dora ? 4 : 3).map { $0.gradient?.array(Float.self) ?? [] }
  }

  /// Loss and log-probabilities of a head, and the gradients of what it reads.
  private static func head(_ weight: LinearWeight) -> [[Float]] {
    let targets = (0..<6).map { $0 == 2 ? Int32(-100) : Int32($0 * 31) }
    let hidden = BitsTests.random(7, [6, weight.inputs])
    var found = [headLogits(hidden, weight).array(Float.self)]
    for isLoss in [true, false] {
      let (tape, box) = (Tape(), GradientBox())
      let x = tape.watch(hidden, for: box)
      let y = isLoss ? linearCrossEntropy(x, weight, targets: targets).lossSum : tokenLogProbabilities(x, weight, targets: targets)
      found.append(y.array(Float.self))
      tape.backward(from: y, seed: BitsTests.random(8, y.shape))
      found.append(box.gradient?.array(Float.self) ?? [])
    }
    return found
  }

  /// Panels of 256 rows: several, the last one shorter.
  @Test func productsHaveTheBitsOfNumbers() {
    for type in BlockCodec.formats {
      let matrix = BlockSamples.matrix(type, [700, 4096])
      let numbers = LinearWeight.dense(matrix.dequantized())
      #expect(matrix.dequantized().array(Float.self).allSatisfy(\.isFinite) && matrix.byteCount < 700 * 4096 * 9 / 8)
      for (rows, dora) in [(1, false), (5, true), (20, false), (20, true)] {
        let (coded, dense) = (Self.map(.quantized(matrix), rows: rows, dora: dora), Self.map(numbers, rows: rows, dora: dora))
        #expect(coded == dense && coded.allSatisfy { !$0.isEmpty }, "type \(type), \(rows) rows, DoRA \(dora)")
      }
      let (coded, dense) = (Self.head(.quantized(matrix)), Self.head(numbers))
      #expect(coded == dense && coded.allSatisfy { !$0.isEmpty }, "type \(type), head")
    }
  }

  /// Rows by token id, with an adapter beside them and without, and the adapter's gradients.
  @Test func tablesHaveTheBitsOfNumbers() {
    for type in BlockCodec.formats {
      let table = BlockSamples.matrix(type, [60, 256])
      let ids = Tensor([Int32(3), 59, 3, 0], [4])
      func rows(_ weight: LinearWeight, rank: Int) -> [[Float]] {
        let (tape, boxes) = (Tape(), [GradientBox(), GradientBox()])
        let lora =
          rank == 0
          ? nil
          : LoRAOperands(
            a: tape.watch(BitsTests.random(1, [rank, 60]), for: boxes[0]), b: tape.watch(BitsTests.random(2, [256, rank]), for: boxes[1]),
            scale: 0.5)
        let y = embedding(tape.carry(ids), weight, scale: 1.5, lora: lora)
        tape.backward(from: y, seed: BitsTests.random(3, [4, 256]))
        return [y.array(Float.self)] + boxes.prefix(rank).compactMap { $0.gradient?.array(Float.self) }
      }
      for rank in [0, 2] {
        let (coded, dense) = (rows(.quantized(table), rank: rank), rows(.dense(table.dequantized()), rank: rank))
        #expect(coded == dense && coded.count == 1 + rank, "type \(type), rank \(rank)")
      }
    }
  }

  /// Rows of a range, in other formats, with factors and room behind them.
  @Test func ranges() {
    for type in BlockCodec.formats {
      let matrix = BlockSamples.matrix(type, [9, 256])
      let whole = matrix.dequantized().array(Float.self)
      let factors = Tensor((0..<9).map { Float($0) * 0.25 - 2 }, [9])
      let target = Tensor([Float](repeating: 7, count: 4 * 260), [4, 260])
      matrix.dequantize(rows: 3..<7, into: target, rowScale: factors)
      for (r, row) in (3..<7).enumerated() {
        for column in 0..<260 {
          let wanted = column < 256 ? whole[row * 256 + column] * factors.floats[row] : 7
          #expect(target.floats[r * 260 + column] == wanted, "type \(type) row \(row) column \(column)")
        }
      }
      let short = matrix.dequantized(rows: 2..<9, .bfloat16).array(BFloat16.self)
      #expect(short == whole[512...].map { BFloat16($0) }, "type \(type)")
    }
  }

  /// A plan's stand-in has the bytes of the matrix; where rows are no whole blocks there is none.
  @Test func standIns() {
    #expect(BlockCodec.formats == (0..<256).filter { BlockCodec.numbers($0) != nil })
    for type in BlockCodec.formats {
      let standing = QuantizedMatrix(standingFor: .blocks(type), [3, 512], on: .cpu)
      #expect(standing?.byteCount == BlockSamples.matrix(type, [3, 512]).byteCount)
      #expect(QuantizedMatrix(standingFor: .blocks(type), [3, 500], on: .cpu) == nil)
    }
    #expect(QuantizedMatrix(standingFor: .nf4, [3, 512], on: .cpu) == nil)
    #expect(QuantizedMatrix(standingFor: .blocks(99), [3, 512], on: .cpu) == nil)
  }
}
