import SwiftletCUDA

extension GPUCheck {
  /// cuBLASLt against sums in float64.
  static var products: [GPUCheck] {
    [BlasType.float32, .bfloat16, .float16].map { type in
      GPUCheck("products of \(type)") { device in
        var results: [CheckResult] = []
        for (m, n, k) in [(128, 256, 64), (37, 53, 29), (1, 96, 200), (96, 1, 33), (64, 64, 1024)] {
          for (a, b) in [(false, false), (false, true), (true, false), (true, true)] {
            let results_ = [type, .float32].prefix(type == .float32 ? 1 : 2)
            for result in results_ { results.append(try ProductCheck(m: m, n: n, k: k, type, result, a, b).run(device)) }
          }
        }
        results.append(try ProductCheck(m: 65, n: 40, k: 72, type, type, false, true, extra: 8, beta: 1).run(device))
        results.append(
          try ProductCheck(m: 64, n: 40, k: 72, type, type, false, false, extra: 8, alpha: 0.5, beta: -2, addsOther: true).run(device))
        results.append(try ProductCheck(m: 64, n: 48, k: 72, type, type, false, true, hasBias: true).run(device))
        results.append(try ProductCheck(m: 64, n: 48, k: 72, type, .float32, false, true, hasBias: true).run(device))
        return results
      }
    }
  }
}

/// One product.
struct ProductCheck {
  let (m, n, k): (Int, Int, Int)
  let (factor, result): (BlasType, BlasType)
  let (aTransposed, bTransposed): (Bool, Bool)
  // Columns of the stored rows that the product leaves alone.
  let extra: Int
  let (alpha, beta): (Float, Float)
  let (addsOther, hasBias): (Bool, Bool)

  init(
    m: Int, n: Int, k: Int, _ factor: BlasType, _ result: BlasType, _ aTransposed: Bool, _ bTransposed: Bool, extra: Int = 0,
    alpha: Float = 1, beta: Float = 0, addsOther: Bool = false, hasBias: Bool = false
  ) {
    (self.m, self.n, self.k, self.factor, self.result) = (m, n, k, factor, result)
    (self.aTransposed, self.bTransposed, self.extra) = (aTransposed, bTransposed, extra)
    (self.alpha, self.beta, self.addsOther, self.hasBias) = (alpha, beta, addsOther, hasBias)
  }

  private var title: String {
    let (left, right) = ("\(m)×\(k)\(aTransposed ? "ᵀ" : "")", "\(k)×\(n)\(bTransposed ? "ᵀ" : "")")
    let more = (beta != 0 ? " + \(beta)·\(addsOther ? "D" : "C")" : "") + (hasBias ? " + bias" : "")
    return "\(left) · \(right) of \(factor) into \(result)\(more)"
  }

  /// The largest error over what rounding explains: half a unit of the result, and 2⁻²⁰ of the sum of magnitudes; where something is added in
  /// 16 bits half a unit of the product too, for an algorithm may round it before it adds (seen of float16 on an H200).
  func run(_ device: CUDADevice) throws -> CheckResult {
    let (aStride, bStride) = ((aTransposed ? m : k) + extra, (bTransposed ? k : n) + extra)
    let a = Numbers((aTransposed ? k : m) * aStride, factor, seed: 1, on: device)
    let b = Numbers((bTransposed ? n : k) * bStride, factor, seed: 2, on: device)
    let c = Numbers(m * (n + extra), result, seed: 3, on: device)
    let d = Numbers(m * (n + extra), result, seed: 4, on: device)
    let bias = Numbers(n, result, seed: 5, on: device)
    func multiply(_ c: Numbers) {
      device.blas.multiply(
        BlasMatrix(a.pointer, factor, stride: aStride, transposed: aTransposed),
        BlasMatrix(b.pointer, factor, stride: bStride, transposed: bTransposed), into: BlasMatrix(c.pointer, result, stride: n + extra),
        m: m,
        n: n, k: k, alpha: alpha, beta: beta, adding: addsOther ? BlasMatrix(d.pointer, result, stride: n + extra) : nil,
        bias: hasBias ? (bias.pointer, result) : nil)
    }
    multiply(c)
    let found = c.read()
    let again = Numbers(m * (n + extra), result, seed: 3, on: device)
    multiply(again)
    if again.read() != found { return CheckResult(name: "\(title): other bits the second time", error: .infinity, tolerance: 0) }
    do throws(CUDAError) { try device.check() } catch {
      return CheckResult(name: "\(title): \(error)", error: .infinity, tolerance: 1)
    }
    let added = addsOther ? d.values : c.values
    let half: Double = result == .float32 ? 0x1p-24 : result == .float16 ? 0x1p-11 : 0x1p-8
    var worst = 0.0
    for i in 0..<m {
      for j in 0..<(n + extra) {
        let place = i * (n + extra) + j
        if j >= n {
          if found[place] != c.values[place] { worst = .infinity }
          continue
        }
        var (sum, size) = (0.0, 0.0)
        for p in 0..<k {
          let x = a.values[aTransposed ? p * aStride + i : i * aStride + p]
          let y = b.values[bTransposed ? j * bStride + p : p * bStride + j]
          sum += Double(x) * Double(y)
          size += abs(Double(x) * Double(y))
        }
        let rest = Double(beta) * Double(added[place]) + (hasBias ? Double(bias.values[j]) : 0)
        let truth = Double(alpha) * sum + rest
        let product = beta != 0 && result != .float32 ? abs(truth - rest) : 0
        worst = max(
          worst,
          abs(Double(found[place]) - truth) / (half * (abs(truth) + product) + 0x1p-20 * (abs(Double(alpha)) * size + abs(rest)) + 1e-30))
        if found[place].isNaN { worst = .infinity }
      }
    }
    return CheckResult(name: title, error: worst, tolerance: 1.01)
  }
}

/// Numbers of a format on the GPU, and what they are.
private struct Numbers {
  let values: [Float]
  private let type: BlasType
  private let bytes: GPUArray<UInt8>

  init(_ count: Int, _ type: BlasType, seed: UInt64, on device: CUDADevice) {
    let raw = bits(count, seed: seed).map { Float(Int32(truncatingIfNeeded: $0 >> 32)) * 0x1p-31 }
    var stored: [UInt8] = []
    var values: [Float] = []
    for x in raw {
      switch type {
      case .float32:
        values.append(x)
        withUnsafeBytes(of: x) { stored += $0 }
      case .float16:
        values.append(Float(Float16(x)))
        withUnsafeBytes(of: Float16(x)) { stored += $0 }
      case .bfloat16:
        let word = UInt16(truncatingIfNeeded: x.bitPattern >> 16)
        values.append(Float(bitPattern: UInt32(word) << 16))
        withUnsafeBytes(of: word) { stored += $0 }
      }
    }
    (self.values, self.type, bytes) = (values, type, GPUArray(stored, on: device))
  }

  var pointer: DevicePointer { bytes.pointer }

  func read() -> [Float] {
    bytes.elements.withUnsafeBytes { raw in
      (0..<values.count).map { i in
        switch type {
        case .float32: raw.loadUnaligned(fromByteOffset: i * 4, as: Float.self)
        case .float16: Float(raw.loadUnaligned(fromByteOffset: i * 2, as: Float16.self))
        case .bfloat16: Float(bitPattern: UInt32(raw.loadUnaligned(fromByteOffset: i * 2, as: UInt16.self)) << 16)
        }
      }
    }
  }
}
