import CPlatform
import SwiftletCPU
import Testing

/// Block formats: what is coded reads back within the error that the format allows, with the same bytes everywhere.
@Suite(.serialized) struct BlockCodecTests {
  /// Format, bytes of a block, and the largest relative root mean square error on normally distributed numbers: 3 % over what the search
  /// reached when it was written.
  private static let formats: [(number: UInt32, bytes: Int, error: Float)] = [
    (2, 18, 0.0833), (8, 34, 0.0056), (10, 84, 0.2667), (11, 110, 0.1479), (12, 144, 0.0721), (13, 176, 0.0356), (14, 210, 0.0177),
  ]

  /// Numbers that look like a layer's: roughly normal.
  private func numbers(_ count: Int) -> [Float] {
    var state: UInt64 = 88_172_645_463_325_252
    func uniform() -> Float {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return Float(state >> 40) / Float(1 << 24) - 0.5
    }
    return (0..<count).map { _ in (0..<12).reduce(0) { sum, _ in sum + uniform() } * 0.02 }
  }

  private func encode(_ format: UInt32, _ x: [Float], _ bytes: Int) -> [UInt8] {
    var out = [UInt8](repeating: 0xEE, count: x.count / (BlockCodec.numbers(format) ?? 1) * bytes)
    x.withUnsafeBufferPointer { x in out.withUnsafeMutableBytes { BlockCodec.encode(format, x, into: $0) } }
    return out
  }

  private func decode(_ format: UInt32, _ bytes: [UInt8], _ count: Int) -> [Float] {
    var out = [Float](repeating: .nan, count: count)
    bytes.withUnsafeBytes { bytes in out.withUnsafeMutableBufferPointer { BlockCodec.decode(format, bytes, into: $0) } }
    return out
  }

  @Test func errorsAreSmall() {
    let x = numbers(256 * 37)
    let power = x.reduce(0) { $0 + $1 * $1 }
    for (format, bytes, limit) in Self.formats {
      let y = decode(format, encode(format, x, bytes), x.count)
      let error = (zip(x, y).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / power).squareRoot()
      #expect(error < limit, "format \(format): \(error)")
    }
  }

  /// Same bytes with every instruction set, on one thread and many, and of a block alone.
  @Test func bytesDependOnNumbersAlone() {
    let (threads, isa) = (Parallel.threads, swiftlet_current_isa())
    defer {
      Parallel.threads = threads
      swiftlet_limit_isa(isa)
    }
    let x = numbers(256 * 35)
    for (format, bytes, _) in Self.formats {
      let wanted = encode(format, x, bytes)
      for set in [SWIFTLET_ISA_BASELINE, SWIFTLET_ISA_AVX2, SWIFTLET_ISA_AVX512] {
        swiftlet_limit_isa(set)
        Parallel.threads = 1
        #expect(encode(format, x, bytes) == wanted, "format \(format), instruction set \(set.rawValue)")
        swiftlet_limit_isa(isa)
        Parallel.threads = 3
        #expect(encode(format, x, bytes) == wanted, "format \(format), 3 threads")
      }
      let block = BlockCodec.numbers(format) ?? 1
      #expect(encode(format, Array(x.suffix(block)), bytes) == Array(wanted.suffix(bytes)), "format \(format), the last block alone")
    }
  }

  /// The error of 4-bit codes by a scale: its definition, and the same bits with every instruction set.
  @Test func squaredErrorsOfScales() {
    let isa = swiftlet_current_isa()
    defer { swiftlet_limit_isa(isa) }
    var code = swiftlet_code4()
    let values = (0..<16).map { Float($0 * $0 - 100) / 100 }
    let thresholds = zip(values, values.dropFirst()).map { ($0 + $1) / 2 }
    withUnsafeMutableBytes(of: &code.thresholds) { thresholds.withUnsafeBytes($0.copyMemory) }
    let (x, weights) = (numbers(64), numbers(64).map { abs($0) + 0.1 })
    for scale: Float in [0.3, 1, 2.75] {
      var wanted = 0.0
      for (number, weight) in zip(x, weights) {
        let near = values[thresholds.count { number * (1 / scale) > $0 }]
        wanted += Double(weight) * Double(number - near * scale) * Double(number - near * scale)
      }
      let found = [SWIFTLET_ISA_BASELINE, SWIFTLET_ISA_AVX2, SWIFTLET_ISA_AVX512].map { set in
        swiftlet_limit_isa(set)
        return swiftlet_squared_error4(&code, values, x, weights, 64, scale)
      }
      #expect(abs(Double(found[0]) - wanted) < 1e-5 * wanted && Set(found).count == 1, "\(found), wanted \(wanted)")
    }
  }

  @Test func extremesAreHeld() {
    let ramp: [Float] = (0..<256).map { (index: Int) -> Float in Float(index) * 1e-9 }
    var inputs: [[Float]] = [ramp]
    for value: Float in [0, -0.25, 0.25] { inputs.append([Float](repeating: value, count: 256)) }
    for value: Float in [1, -1] {
      var spike = [Float](repeating: 0, count: 256)
      spike[17] = value
      inputs.append(spike)
    }
    for (format, bytes, _) in Self.formats {
      for x in inputs {
        let y: [Float] = decode(format, encode(format, x, bytes), 256)
        var (most, worst): (Float, Float) = (0, 0)
        for i in x.indices {
          most = max(most, abs(x[i]))
          worst = max(worst, y[i].isFinite ? abs(x[i] - y[i]) : .infinity)
        }
        #expect(worst <= 0.2 * most + 1e-6, "format \(format), \(x[0]), \(x[17])")
      }
    }
  }

  @Test func unknownFormats() {
    for format: UInt32 in [0, 1, 4, 5, 9, 15, 16, 30, .max] { #expect(BlockCodec.numbers(format) == nil) }
    #expect(BlockCodec.numbers(39) == 32 && BlockCodec.numbers(12) == 256)
  }
}
