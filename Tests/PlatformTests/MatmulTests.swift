import SwiftletCPU
import Testing

/// Numbers in one of the stored formats, with their exact values.
private struct Stored {
  let type: CPUFloat
  let values: [Float]
  let bytes: [UInt8]

  init(_ count: Int, _ type: CPUFloat, seed: UInt64) {
    var state = seed
    let raw = (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(Int64(state >> 33) - 1 << 30) / Float(1 << 30)
    }
    self.type = type
    switch type {
    case .f32:
      values = raw
      bytes = raw.withUnsafeBytes(Array.init)
    case .bf16:
      let bits = raw.map { UInt16($0.bitPattern >> 16) }
      values = bits.map { Float(bitPattern: UInt32($0) << 16) }
      bytes = bits.withUnsafeBytes(Array.init)
    case .f16:
      // Subnormal ones too.
      let halves = raw.enumerated().map { Float16($0.offset % 9 == 0 ? $0.element * 3e-5 : $0.element) }
      values = halves.map(Float.init)
      bytes = halves.withUnsafeBytes(Array.init)
    }
  }
}

private struct Case {
  var m: Int, n: Int, k: Int
  var aType = CPUFloat.f32, bType = CPUFloat.f32
  var transposeA = false, transposeB = true
  var accumulate = false, alpha: Float = 1
  /// Extra elements between rows.
  var gap = 0

  var lda: Int { (transposeA ? m : k) + gap }
  var ldb: Int { (transposeB ? k : n) + gap }
  var ldc: Int { n + gap }
  var a: Stored { Stored((transposeA ? k : m) * lda, aType, seed: 7) }
  var b: Stored { Stored((transposeB ? n : k) * ldb, bType, seed: 11) }

  func run(bf16Units: Bool = false) -> [Float] {
    var c = [Float](repeating: 0.5, count: m * ldc + 1)
    a.bytes.withUnsafeBytes { a in
      b.bytes.withUnsafeBytes { b in
        c.withUnsafeMutableBufferPointer { c in
          guard let a = a.baseAddress, let b = b.baseAddress, let c = c.baseAddress else { return }
          if bf16Units {
            CPUMatmul.multiplyBF16(
              a: a, lda: lda, transposeA: transposeA, b: b, ldb: ldb, transposeB: transposeB, c: c, ldc: ldc, m: m, n: n, k: k,
              accumulate: accumulate, alpha: alpha)
          } else {
            CPUMatmul.multiply(
              a: a, aType: aType, lda: lda, transposeA: transposeA, b: b, bType: bType, ldb: ldb, transposeB: transposeB, c: c, ldc: ldc,
              m: m, n: n, k: k, accumulate: accumulate, alpha: alpha)
          }
        }
      }
    }
    return c
  }

  /// The most that any element is off, in units of the bound for sums of float32 in any order: k ε Σ|a||b|. NaN where something
  /// outside the matrix was written.
  func error(of c: [Float]) -> Double {
    let (a, b) = (self.a.values, self.b.values)
    var worst = 0.0
    for i in 0..<m {
      for j in 0..<ldc {
        var sum = 0.0
        var size = 0.0
        if j >= n {
          if c[i * ldc + j] != 0.5 { return .nan }
          continue
        }
        for p in 0..<k {
          let product = Double(a[transposeA ? p * lda + i : i * lda + p]) * Double(b[transposeB ? j * ldb + p : p * ldb + j])
          sum += product
          size += abs(product)
        }
        let wanted = Double(alpha) * sum + (accumulate ? 0.5 : 0)
        let bound = Double(k + 3) * 0x1p-24 * (abs(Double(alpha)) * size + 0.5)
        worst = max(worst, abs(Double(c[i * ldc + j]) - wanted) / bound)
      }
    }
    return c[m * ldc] == 0.5 ? worst : .nan
  }
}

extension PlatformSettings {
  @Suite struct MatmulTests {
    private func eachISA(_ body: (CPUInfo.ISA) throws -> Void) rethrows {
      let before = CPUInfo.isa
      defer { CPUInfo.isa = before }
      for isa in CPUInfo.ISA.allCases where isa <= CPUInfo.bestISA {
        CPUInfo.isa = isa
        try body(isa)
      }
    }

    @Test func agreesWithFloat64() {
      let sizes = [
        (1, 1, 1), (1, 33, 127), (2, 64, 300), (3, 31, 17), (4, 97, 513), (5, 16, 256), (7, 1, 9), (13, 65, 257), (14, 32, 512),
        (15, 33, 31),
        (33, 127, 64), (127, 33, 15), (300, 40, 77), (300, 20, 77), (90, 7, 300), (17, 1, 65),
      ]
      eachISA { isa in
        for (index, size) in sizes.enumerated() {
          for (transposeA, transposeB) in [(false, true), (false, false), (true, false), (true, true)] {
            for aType in CPUFloat.allCases {
              for bType in CPUFloat.allCases {
                let one = Case(
                  m: size.0, n: size.1, k: size.2, aType: aType, bType: bType, transposeA: transposeA, transposeB: transposeB,
                  accumulate: index % 2 == 1, alpha: index % 3 == 0 ? 0.3 : 1, gap: index % 4)
                #expect(one.error(of: one.run()) <= 1, "\(isa) \(one)")
              }
            }
          }
        }
      }
    }

    @Test func regionsOfLargeMatricesJoin() {
      // Two regions of rows and two of k; three of k.
      for one in [Case(m: 2101, n: 33, k: 2050), Case(m: 40, n: 70, k: 4401, transposeA: true, transposeB: false, accumulate: true)] {
        #expect(one.error(of: one.run()) <= 1, "\(one)")
      }
    }

    @Test func bf16UnitsAgreeWithFloat64() {
      eachISA { isa in
        for (m, n, k) in [(1, 33, 127), (5, 64, 600), (16, 31, 17), (33, 70, 1025), (2, 3, 1)] {
          for (transposeA, transposeB) in [(false, true), (false, false), (true, false), (true, true)] {
            let one = Case(
              m: m, n: n, k: k, aType: .bf16, bType: .bf16, transposeA: transposeA, transposeB: transposeB, accumulate: m == 5, gap: k % 3)
            #expect(one.error(of: one.run(bf16Units: true)) <= 1, "\(isa) \(one)")
          }
        }
      }
    }

    @Test func emptySums() {
      #expect(Case(m: 2, n: 3, k: 0).run() == [0, 0, 0, 0, 0, 0, 0.5])
      #expect(Case(m: 2, n: 3, k: 0, accumulate: true).run() == [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
      #expect(Case(m: 0, n: 3, k: 5).run() == [0.5])
    }

    @Test func sameBitsOnAnyNumberOfThreads() {
      let before = Parallel.threads
      defer { Parallel.threads = before }
      for one in [Case(m: 300, n: 500, k: 700), Case(m: 1, n: 3000, k: 999, bType: .bf16), Case(m: 70, n: 90, k: 3000, transposeA: true)] {
        let results = [1, 2, 5].map { threads in
          Parallel.threads = threads
          return one.run().map(\.bitPattern)
        }
        #expect(results[0] == results[1] && results[0] == results[2])
      }
    }

    @Test func aRowHasTheSameBitsInAnyBatch() {
      eachISA { isa in
        for (rows, n) in [(61, 75), (170, 20)] {
          for bType in CPUFloat.allCases {
            for transposeB in [true, false] {
              let all = Case(m: rows, n: n, k: 1300, bType: bType, transposeB: transposeB, accumulate: true).run()
              for m in [1, 2, 3, 4, 5, 9, 14, 29] {
                let some = Case(m: m, n: n, k: 1300, bType: bType, transposeB: transposeB, accumulate: true).run()
                #expect(some[..<(m * n)].map(\.bitPattern) == all[..<(m * n)].map(\.bitPattern), "\(isa) \(bType) \(m) × \(n)")
              }
            }
          }
        }
      }
    }

    @Test func aColumnHasTheSameBitsInEitherLayoutAndISA() {
      // With fused multiply-add, all instruction sets do the same operations.
      var bits: Set<[UInt32]> = []
      eachISA { isa in
        if isa >= .avx2 { bits.insert(Case(m: 20, n: 50, k: 600).run().map(\.bitPattern)) }
      }
      #expect(bits.count <= 1)
    }

    @Test func batchesHaveTheBitsOfSingleProducts() {
      let (a, b) = (Stored(40 * 64, .f32, seed: 1).values, Stored(64 * 64, .f32, seed: 2).values)
      var single = [Float](repeating: 0, count: 8 * 40 * 64)
      var batch = single
      a.withUnsafeBytes { a in
        b.withUnsafeBytes { b in
          guard let a = a.baseAddress, let b = b.baseAddress else { return }
          func products(_ c: UnsafeMutablePointer<Float>) -> [CPUMatmul.Product] {
            (0..<8).map { .init(a: a, lda: 64, b: b, ldb: 64, transposeB: true, c: c + $0 * 2560, ldc: 64, m: $0 * 5, n: 64, k: 64 - $0) }
          }
          batch.withUnsafeMutableBufferPointer { c in c.baseAddress.map { CPUMatmul.multiply(products($0)) } }
          single.withUnsafeMutableBufferPointer { c in c.baseAddress.map { products($0).forEach { CPUMatmul.multiply([$0]) } } }
        }
      }
      #expect(single == batch)
      #expect(single.contains { $0 != 0 })
    }
  }
}
