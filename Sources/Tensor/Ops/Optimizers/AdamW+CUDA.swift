import SwiftletCPU
import SwiftletCUDA
import SwiftletTensorCore

/// AdamW over all parameters on a GPU: the gradients' norm, the factor that clips, bias corrections and the update itself, in three launches
/// and without the host waiting. A step whose gradients are not finite is left out and counted.
public final class GPUAdamW {
  /// One parameter's moments.
  public struct Moments {
    /// Elements.
    public let count: Int
    /// Mean of gradients: float32, or codes where there are scales. Device memory, or pinned host memory, which the kernel streams through.
    public let m: DevicePointer
    /// Mean of squares, alike.
    public let v: DevicePointer
    /// float32 [⌈count / 256⌉] of coded moments.
    public let mScale: Tensor?
    /// The same of the squares.
    public let vScale: Tensor?
    /// Weight decay.
    public let decay: Double

    /// Describes a parameter's moments.
    public init(count: Int, m: DevicePointer, v: DevicePointer, mScale: Tensor? = nil, vScale: Tensor? = nil, decay: Double) {
      (self.count, self.m, self.v, self.mScale, self.vScale, self.decay) = (count, m, v, mScale, vScale, decay)
    }
  }

  /// What changes from step to step of one parameter.
  public struct Numbers {
    /// float32, written; on the GPU, or in pinned host memory.
    public let value: Tensor
    /// float32, alike; nil counts as zeros.
    public let gradient: Tensor?
    /// bfloat16 or float16: the value rounded, written too.
    public let copy: Tensor?

    /// A parameter with its gradient.
    public init(value: Tensor, gradient: Tensor?, copy: Tensor? = nil) {
      (self.value, self.gradient, self.copy) = (value, gradient, copy)
    }
  }

  /// The numbers of one step.
  public struct Rule {
    /// Learning rate of the step.
    public var rate: Double
    /// Decay of the mean of gradients.
    public var beta1: Double
    /// Decay of the mean of squares.
    public var beta2: Double
    /// Added to the root of the mean of squares.
    public var epsilon: Double
    /// The norm that gradients are brought down to; 0 for none.
    public var maximumNorm: Double
    /// A factor on every gradient, before its norm is taken.
    public var gradientScale: Double
    /// Good steps after which the loss scale doubles; 0 keeps it as it is.
    public var growthInterval: Int

    /// The numbers of one step.
    public init(
      rate: Double, beta1: Double, beta2: Double, epsilon: Double, maximumNorm: Double = 0, gradientScale: Double = 1,
      growthInterval: Int = 0
    ) {
      (self.rate, self.beta1, self.beta2, self.epsilon) = (rate, beta1, beta2, epsilon)
      (self.maximumNorm, self.gradientScale, self.growthInterval) = (maximumNorm, gradientScale, growthInterval)
    }
  }

  /// What the device knows after a step.
  public struct Report: Hashable, Sendable {
    /// Norm of all gradients before clipping.
    public let norm: Double
    /// Whether the last step was left out.
    public let isSkipped: Bool
    /// Updates done.
    public let updates: Int
    /// Steps left out since the start.
    public let skipped: Int
    /// What the next loss should be multiplied with.
    public let lossScale: Float
    /// Good steps in a row since that changed.
    public let goodSteps: Int
  }

  private let gpu: CUDADevice
  private let moments: [Moments]
  private let hasCodes: Bool
  private let chunkCount: Int
  private let entries, chunks, sums, rule, state, tables: Tensor
  private var written: [UInt64] = []

  static let chunk = 16384
  // Found fastest on an H200; see Optimizers.cu.
  static let threads = 128
  static let resident = 6

  /// State zero.
  /// - Parameter lossScale: what losses will be multiplied with at first.
  public init(_ moments: [Moments], on device: Device, lossScale: Float = 1) {
    (self.moments, gpu) = (moments, device.gpu)
    hasCodes = moments.contains { $0.mScale != nil }
    let places = moments.enumerated().flatMap { index, moment in
      (0..<(moment.count + Self.chunk - 1) / Self.chunk).flatMap { [Int32(index), Int32($0)] }
    }
    chunkCount = places.count / 2
    func memory(_ bytes: Int) -> Tensor { Tensor(zeros: [bytes / 8], .int64, part: .optimizer, on: device) }
    entries = memory(80 * moments.count)
    chunks = Tensor(places, [places.count], part: .optimizer, on: device)
    sums = memory(8 * chunkCount)
    rule = memory(104)
    state = memory(64)
    tables = hasCodes ? Tensor(Self.codeTables, [Self.codeTables.count], part: .optimizer, on: device) : memory(8)
    restore(updates: 0, beta1: 0, beta2: 0, lossScale: lossScale)
  }

  /// What the loss is multiplied with before backward, float32 [1] on the GPU: 1 unless gradients are scaled.
  public var lossScale: Tensor { Tensor(state.storage, byteOffset: 28, shape: [1], dtype: .float32) }

  /// One step. `numbers` in the order of the moments.
  public func step(_ numbers: [Numbers], _ rule: Rule) {
    precondition(numbers.count == moments.count, "\(numbers.count) parameters, \(moments.count) moments")
    if chunkCount == 0 { return }
    write(numbers)
    copy(words(rule), to: self.rule)
    let (entries, chunks, sums, state) = (entries.address, chunks.address, sums.address, state.address)
    kernel("Optimizers.cu", "gradient_squares", [KernelDefine("GRADIENT_NORM", 1)], on: gpu)
      .launch(grid: (chunkCount, 1, 1), block: (512, 1, 1), sums, entries, chunks)
    kernel("Optimizers.cu", "prepare_step", [KernelDefine("GRADIENT_NORM", 1)], on: gpu)
      .launch(grid: (1, 1, 1), block: (1024, 1, 1), state, sums, UInt32(chunkCount), self.rule.address)
    kernel("Optimizers.cu", "adam_update", Self.updateDefines(hasCodes: hasCodes), on: gpu).launch(
      grid: (min(chunkCount, gpu.multiprocessors * Self.resident), 1, 1), block: (Self.threads, 1, 1), entries, chunks,
      UInt32(chunkCount), state, self.rule.address, tables.address)
  }

  /// What became of the last step. Waits for the GPU.
  public var report: Report {
    let words = state.array(Int64.self).map { UInt64(bitPattern: $0) }
    let low = { (word: UInt64) in UInt32(truncatingIfNeeded: word) }
    let high = { (word: UInt64) in UInt32(truncatingIfNeeded: word >> 32) }
    return Report(
      norm: Double(bitPattern: words[2]), isSkipped: low(words[6]) != 0, updates: Int(low(words[5])), skipped: Int(high(words[5])),
      lossScale: Float(bitPattern: high(words[3])), goodSteps: Int(high(words[6])))
  }

  /// Takes over the number of updates, and so the bias corrections.
  /// - Parameter lossScale: with the number of good steps that it has stood; nil keeps the scale and counts from zero.
  public func restore(updates: Int, beta1: Double, beta2: Double, lossScale: Float? = nil, goodSteps: Int = 0) {
    // As the device multiplies them up, one step after the other.
    func power(_ base: Double) -> UInt64 { (0..<updates).reduce(1.0) { product, _ in product * base }.bitPattern }
    let scale = lossScale ?? report.lossScale
    let pair = UInt64(Float(1).bitPattern) | UInt64(scale.bitPattern) << 32
    copy([power(beta1), power(beta2), 0, pair, 0, UInt64(updates), UInt64(goodSteps) << 32, 0], to: state)
  }

  private func write(_ numbers: [Numbers]) {
    let words = zip(numbers, moments).flatMap { number, moment -> [UInt64] in
      check(number, moment)
      let tensors: [Tensor?] = [moment.mScale, moment.vScale, number.copy]
      let first: [DevicePointer] = [number.value.placeForGPU, number.gradient?.placeForGPU ?? .null, moment.m, moment.v]
      let addresses: [UInt64] = (first + tensors.map { $0?.address ?? .null }).map(\.address)
      precondition(addresses.allSatisfy { $0 % 16 == 0 }, "AdamW: tensors begin at multiples of 16 bytes")
      let isHalf: UInt64 = number.copy?.dtype == .float16 ? 1 : 0
      return addresses + [UInt64(moment.count), Double(Float(moment.decay)).bitPattern, isHalf]
    }
    if words == written { return }
    written = words
    copy(words, to: entries)
  }

  private func check(_ number: Numbers, _ moment: Moments) {
    for tensor in [number.value, number.gradient] {
      guard let tensor else { continue }
      precondition(
        tensor.dtype == .float32 && tensor.count == moment.count,
        "AdamW: \(tensor.shape) \(tensor.dtype) for \(moment.count) moments")
    }
    if let copy = number.copy {
      precondition(
        copy.count == moment.count && copy.dtype.size == 2, "AdamW: a copy \(copy.shape) \(copy.dtype) of \(moment.count) numbers")
    }
  }

  private func words(_ rule: Rule) -> [UInt64] {
    func pair(_ low: Float, _ high: Float) -> UInt64 { UInt64(low.bitPattern) | UInt64(high.bitPattern) << 32 }
    // The two optimizers on the CPU round 1 − β differently; their rate is float32.
    let small = pair(Float(1 - Double(Float(rule.beta1))), Float(1 - Double(Float(rule.beta2))))
    let coded = pair(Float(1 - rule.beta1), Float(1 - rule.beta2))
    let last = UInt64(Float(rule.epsilon).bitPattern) | UInt64(rule.growthInterval) << 32
    let numbers: [Double] = [Double(Float(rule.rate)), rule.beta1, rule.beta2, rule.maximumNorm, rule.gradientScale]
    return numbers.map(\.bitPattern) + [small, coded, last, 0, 0, 0, 0, 0]
  }

  private func copy(_ words: [UInt64], to target: Tensor) {
    words.withUnsafeBytes { bytes in
      if let start = bytes.baseAddress { gpu.copy(from: start, to: target.address, bytes: bytes.count) }
    }
  }

  static func updateDefines(hasCodes: Bool) -> [KernelDefine] {
    [
      KernelDefine("ADAM_UPDATE", 1), KernelDefine("CODED", hasCodes ? 1 : 0), KernelDefine("GROUP", threads),
      KernelDefine("RESIDENT", resident),
    ]
  }
}

extension GPUAdamW {
  /// Values of both dynamic maps and their folded code tables, as `Tables` in Optimizers.cu.
  package static let codeTables: [UInt8] = {
    let (signed, unsigned) = (DynamicMap.signed, DynamicMap.unsigned)
    let values = (signed.values + unsigned.values).flatMap { value in
      (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> ($0 * 8)) }
    }
    let halves = [Array(signed.codes[32768...]), signed.codes[..<32768].reversed().map { 255 - $0 }, Array(unsigned.codes[32768...])]
    return values + halves.flatMap(folded)
  }()

  /// 32,768 ascending codes as places of the kernel's table: 4,096 single steps, then buckets of 64 steps with one change of code at most.
  private static func folded(_ codes: [UInt8]) -> [UInt8] {
    let fine = codes[..<4096].flatMap { [UInt8(64), $0] }
    let coarse = stride(from: 4096, to: 32768, by: 64).flatMap { start -> [UInt8] in
      let bucket = codes[start..<start + 64]
      precondition(bucket[start + 63] - bucket[start] <= 1, "a bucket of the code table holds two boundaries")
      return [UInt8(bucket.count { $0 == bucket[start] }), bucket[start]]
    }
    return fine + coarse
  }
}

extension KernelVariants {
  /// What a test run compiles of this room.
  static let optimizers: [KernelVariant] = [
    KernelVariant("Optimizers.cu", ["gradient_squares", "prepare_step"], [[KernelDefine("GRADIENT_NORM", 1)]]),
    KernelVariant("Optimizers.cu", ["adam_update"], [true, false].map { GPUAdamW.updateDefines(hasCodes: $0) }),
  ]
}
