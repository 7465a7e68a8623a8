import SwiftletCPU
import SwiftletOpChecks
import SwiftletOps
import SwiftletTensorCore
import Testing

/// Weights in the blocks of GGUF files: products with them have the bits of products with their numbers.
@Suite struct BlockWeightTests {
  /// Formats, and where their blocks hold halves.
  private static let formats: [(type: UInt32, halves: [Int])] = [
    (2, [0]), (3, [0, 2]), (6, [0]), (7, [0, 2]), (8, [0]), (10, [80, 82]), (11, [108]), (12, [0, 2]), (13, [0, 2]), (14, [208]), (39, []),
  ]

  /// Codes that look like nothing, with scales of some hundredths.
  private static func matrix(_ type: UInt32, _ halves: [Int], _ shape: Shape) throws -> QuantizedMatrix {
    let numbers = try #require(BlockCodec.numbers(type))
    let block = BlockCodec.byteCount(type, numbers: numbers)
    let random = Random(seed: UInt64(type))
    var codes = (0..<shape.count / numbers * block).map { UInt8(truncatingIfNeeded: random.word(UInt64($0))) }
    for start in stride(from: 0, to: codes.count, by: block) {
      for half in halves { codes[start + half + 1] = 0x28 }
      if halves.isEmpty { codes[start] = 0x78 }
    }
    return QuantizedMatrix(
      shape: shape, format: .blocks(type), codes: Tensor(codes, [shape[0], codes.count / shape[0]]), scales: .amongCodes)
  }

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
  @Test func productsHaveTheBitsOfNumbers() throws {
    for (type, halves) in Self.formats {
      let matrix = try Self.matrix(type, halves, [700, 4096])
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

  /// Rows of a range, in other formats, with factors and room behind them.
  @Test func ranges() throws {
    for (type, halves) in Self.formats {
      let matrix = try Self.matrix(type, halves, [9, 256])
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
}
