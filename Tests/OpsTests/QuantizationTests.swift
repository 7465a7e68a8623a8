import SwiftletOps
import SwiftletTensorCore
import Testing

@Suite struct QuantizationTests {
  private func matrix(_ shape: Shape) -> Tensor { Tensor.normal(shape, standardDeviation: 0.1, random: Random(seed: 3)) }

  /// The error of each format stays within half of its widest step, and zeros stay zeros.
  @Test(arguments: QuantizationFormat.made) func error(_ format: QuantizationFormat) {
    let bounds: [QuantizationFormat: Float] = [.nf4: 0.16, .fp4: 0.17, .int8: 0.004, .fp8: 0.036, .fp8Blocks: 0.036]
    let shape: Shape = [37, 150]
    let weight = matrix(shape)
    for column in 0..<150 { weight.floats[5 * 150 + column] = 0 }
    let found = QuantizedMatrix(quantizing: weight, format).dequantized().array(Float.self)
    let most = weight.array(Float.self).reduce(Float(0)) { max($0, abs($1)) }
    for (i, (x, y)) in zip(weight.array(Float.self), found).enumerated() {
      #expect(abs(x - y) <= (bounds[format] ?? 0) * most, "\(format) at \(i): \(x) became \(y)")
    }
    for column in 64..<128 where !format.isFourBit { #expect(found[5 * 150 + column] == 0) }
  }

  /// Rows of a range, other row distances, formats and factors give the bits of the whole.
  @Test(arguments: QuantizationFormat.made) func ranges(_ format: QuantizationFormat) {
    let (rows, columns) = (29, 99)
    let quantised = QuantizedMatrix(quantizing: matrix([rows, columns]), format)
    let whole = quantised.dequantized().array(Float.self)
    let factors = Tensor((0..<rows).map { Float($0) * 0.25 - 2 }, [rows])
    for range in [3..<4, 5..<29, 7..<7] {
      let target = Tensor([Float](repeating: 7, count: range.count * 104), [range.count, 104])
      quantised.dequantize(rows: range, into: target, rowScale: factors)
      for (r, row) in range.enumerated() {
        for column in 0..<104 {
          let wanted = column < columns ? whole[row * columns + column] * factors.floats[row] : 7
          #expect(target.floats[r * 104 + column] == wanted, "\(format) row \(row) column \(column)")
        }
      }
    }
    let short = quantised.dequantized(rows: 2..<9, .bfloat16).array(BFloat16.self)
    #expect(short == whole[2 * columns..<9 * columns].map { BFloat16($0) })
  }

  /// Searched scales have less squared error than the largest magnitudes, in the same layout; zeros stay zeros, and an odd end is coded too.
  @Test func searchedScales() {
    for shape: Shape in [[64, 256], [5, 33], [1, 1], [0, 64]] {
      let weight = matrix(shape)
      for i in 0..<min(64, shape.count) { weight.floats[i] = shape.count > 64 ? 0 : weight.floats[i] }
      let (plain, searched) = (QuantizedMatrix(quantizing: weight, .nf4), QuantizedMatrix(searchingScales: weight))
      #expect(plain.tensors.map(\.shape) == searched.tensors.map(\.shape) && searched.format == .nf4 && searched.blockSize == 64)
      func error(_ matrix: QuantizedMatrix) -> Float {
        zip(matrix.dequantized().array(Float.self), weight.array(Float.self)).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      }
      let (before, after) = (error(plain), error(searched))
      if shape.count > 64 {
        #expect(after < 0.93 * before, "\(shape): \(after) of \(before)")
        #expect(searched.dequantized().array(Float.self).prefix(64).allSatisfy { abs($0) < 1e-3 })
      } else {
        #expect(after <= before + 1e-6)
      }
    }
  }

  /// With squares of the inputs the scales serve the columns that count: the weighed error is less than without, also where blocks run on over
  /// the ends of rows, and squares that are all alike change nothing.
  @Test func searchedScalesWithInputs() {
    for shape: Shape in [[64, 256], [40, 96], [7, 33], [1, 1]] {
      let weight = matrix(shape)
      let squares = (0..<shape.columns).map { BFloat16($0 % 5 == 0 ? 100 : 0.01) }
      func error(_ matrix: QuantizedMatrix) -> Float {
        zip(matrix.dequantized().array(Float.self), weight.array(Float.self)).enumerated().reduce(0) { sum, pair in
          let difference = pair.element.0 - pair.element.1
          return sum + difference * difference * squares[pair.offset % shape.columns].float
        }
      }
      let plain = QuantizedMatrix(searchingScales: weight)
      let (before, after) = (error(plain), error(QuantizedMatrix(searchingScales: weight, inputSquares: squares)))
      #expect(shape.count > 64 ? after < 0.9 * before : after <= before, "\(shape): \(after) of \(before)")
      let alike = QuantizedMatrix(searchingScales: weight, inputSquares: squares.map { _ in BFloat16(4) })
      #expect(alike.codes.array(UInt8.self) == plain.codes.array(UInt8.self), "\(shape)")
    }
  }

  /// All codes of e4m3 come back as themselves.
  @Test func everyByte() {
    let codes = (0..<256).map { UInt8($0) }.filter { $0 & 0x7F != 0x7F }
    let matrix = QuantizedMatrix(
      shape: [1, codes.count], format: .fp8, codes: Tensor(codes, [1, codes.count]), scales: .plain(Tensor([Float(1)], [1])))
    let values = matrix.dequantized().array(Float.self)
    #expect(values[1] == 0x1p-9 && values[8] == 0x1p-6 && values.contains(448) && values.contains(-448))
    let again = QuantizedMatrix(quantizing: Tensor(values, [1, codes.count]), .fp8)
    #expect(again.codes.array(UInt8.self) == codes)
  }

  /// Every instruction set and piece boundary gives the same codes: a large matrix against itself row by row.
  @Test func pieces() {
    let weight = matrix([70, 2048])
    let whole = QuantizedMatrix(quantizing: weight, .nf4, doubleQuantized: false)
    for row in [0, 31, 33, 69] {
      let one = QuantizedMatrix(quantizing: weight.rows(row..<row + 1), .nf4, doubleQuantized: false)
      #expect(Array(whole.codes.array(UInt8.self)[row * 1024..<(row + 1) * 1024]) == one.codes.array(UInt8.self))
    }
  }

  /// The folded code tables of the optimizer's kernel give every step the code of the whole table.
  @Test func foldedCodes() {
    let tables = GPUAdamW.codeTables
    let places = 4096 + (32768 - 4096) / 64
    #expect(tables.count == 2048 + 3 * 2 * places)
    func code(_ table: Int, _ u: Int) -> Int {
      let place = 2048 + 2 * (table * places + (u < 4096 ? u : 4096 + (u - 4096) / 64))
      return Int(tables[place + 1]) + (u % 64 >= Int(tables[place]) ? 1 : 0)
    }
    let (signed, unsigned) = (DynamicMap.signed.codes, DynamicMap.unsigned.codes)
    for step in 0..<65536 {
      let found = step >= 32768 ? code(0, step - 32768) : 255 - code(1, 32767 - step)
      #expect(found == Int(signed[step]), "step \(step)")
      if step >= 32768 { #expect(code(2, step - 32768) == Int(unsigned[step]), "step \(step)") }
    }
  }
}
