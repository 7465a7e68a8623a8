import SwiftletCPU
import Testing

extension PlatformSettings {
  @Suite struct ConvertTests {
    /// Float32 numbers of every exponent, around every tie of both short formats, and the special ones.
    private var floats: [Float] {
      var words: [UInt32] = [0, 0x7F80_0000, 0x7FC0_0001, 0x7F80_0001, 0x3F80_8000, 0x3F81_8000]
      for exponent in UInt32(0)..<255 {
        for fraction: UInt32 in [0, 1, 0xFFF, 0x1000, 0x1001, 0x3000, 0x7FFF, 0x8000, 0x8001, 0x1_8000, 0x7F_EFFF, 0x7F_F000, 0x7F_FFFF] {
          words.append(exponent << 23 | fraction)
        }
      }
      return words.flatMap { [Float(bitPattern: $0), Float(bitPattern: $0 | 0x8000_0000)] }
    }

    private func eachISA(_ body: (CPUInfo.ISA) -> Void) {
      let before = CPUInfo.isa
      defer { CPUInfo.isa = before }
      for isa in CPUInfo.ISA.allCases where isa <= CPUInfo.bestISA {
        CPUInfo.isa = isa
        body(isa)
      }
    }

    private func short(_ values: [Float], _ type: CPUFloat) -> [UInt16] {
      var bits = [UInt16](repeating: 0, count: values.count)
      bits.withUnsafeMutableBytes { raw in
        raw.baseAddress.map { CPUConvert.fromFloat(values, count: values.count, to: $0, type: type) }
      }
      return bits
    }

    private func long(_ bits: [UInt16], _ type: CPUFloat) -> [Float] {
      var values = [Float](repeating: 0, count: bits.count)
      bits.withUnsafeBytes { raw in
        raw.baseAddress.map { CPUConvert.toFloat($0, type: type, count: bits.count, to: &values) }
      }
      return values
    }

    @Test func everyHalfComesBack() {
      let all = (0...UInt16.max).map { $0 }
      eachISA { isa in
        let halves = long(all, .f16)
        let wrong = all.filter {
          let (value, wanted) = (halves[Int($0)], Float(Float16(bitPattern: $0)))
          return wanted.isNaN ? !value.isNaN : value.bitPattern != wanted.bitPattern
        }
        #expect(wrong.isEmpty, "\(isa)")
        let numbers = all.filter { !Float16(bitPattern: $0).isNaN }
        #expect(short(numbers.map { halves[Int($0)] }, .f16) == numbers, "\(isa)")
        let brains = all.filter { $0 & 0x7FFF <= 0x7F80 }
        #expect(short(long(brains, .bf16), .bf16) == brains, "\(isa)")
      }
    }

    @Test func roundingIsToNearestEven() {
      let values = floats
      eachISA { isa in
        for (value, bits) in zip(values, short(values, .f16)) {
          let wanted = Float16(value)
          #expect(wanted.isNaN ? Float16(bitPattern: bits).isNaN : bits == wanted.bitPattern, "\(isa) \(value)")
        }
        for (value, bits) in zip(values, short(values, .bf16)) {
          let (below, rest) = (UInt16(value.bitPattern >> 16), value.bitPattern & 0xFFFF)
          let up = rest > 0x8000 || rest == 0x8000 && below & 1 == 1
          let result = Float(bitPattern: UInt32(bits) << 16)
          #expect(value.isNaN ? result.isNaN : bits == below + (up ? 1 : 0), "\(isa) \(value)")
        }
      }
    }
  }
}
