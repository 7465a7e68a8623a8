import SwiftletCUDA
import SwiftletTensorCore
import SwiftletTracking

/// One operation of the rooms to measure on a GPU, at a size of Llama-3-8B, beside what the GPU can do at most.
public struct GPUOpBench: Sendable {
  /// Puts the numbers of one call on a device; the result calls the operation once and has the watch measure what counts of it.
  typealias Preparation = @Sendable (OpBenchInputs) -> (Stopwatch) -> Void

  /// The operation's name, one word.
  public let name: String
  /// The sizes.
  public let shape: String
  let work: OpBench.Work
  /// Bytes of the numbers of one call that a cache might keep for the next.
  let inputBytes: Int
  let prepare: Preparation

  /// What one measurement found.
  public struct Result: Sendable {
    /// The operation's name.
    public let name: String
    /// The sizes.
    public let shape: String
    /// Median time of a call on the GPU, by events, with nothing of it in the cache.
    public let seconds: Double
    /// TFLOP/s or GB/s at that time.
    public let rate: Double
    /// `TFLOP/s` or `GB/s`.
    public let unit: String
    /// That rate over the ceiling's.
    public let share: Double
    /// Bytes that were taken and given back during a call, results included.
    public let transientBytes: Int

    /// The line of a Markdown table.
    public var text: String {
      let time = seconds < 1e-3 ? "\(Text.fixed(seconds * 1e6, 1)) µs" : "\(Text.fixed(seconds * 1e3, 2)) ms"
      let cells = [name, shape, time, "\(Text.fixed(rate, 0)) \(unit)", Text.fixed(100 * share, 0), Text.bytes(transientBytes)]
      return "| " + cells.joined(separator: " | ") + " |"
    }

    /// The head of that table.
    public static let head = """
      | op | shape | time | rate | % of the ceiling | memory of a call |
      | --- | --- | ---: | ---: | ---: | ---: |
      """

    /// The line as `--json` prints it.
    public var json: JSON {
      .object(
        JSONObject([
          ("op", .string(name)), ("shape", .string(shape)), ("seconds", .number(seconds)), ("rate", .number(rate)), ("unit", .string(unit)),
          ("ceiling_share", .number(share)), ("transient_bytes", .int(transientBytes)),
        ]))
    }
  }

  /// Calls the operation a few dozen times, on inputs that take turns where they are small.
  /// - Throws: the GPU's error.
  public func run(on device: Device, ceiling: GPUCeiling) throws -> Result {
    let gpu = device.gpu
    // Three times what the cache holds passes before a call sees its inputs again.
    let count = max(1, min(16, (3 * gpu.cacheBytes + inputBytes - 1) / max(inputBytes, 1)))
    let calls = (0..<count).map { prepare(OpBenchInputs(device: device, seed: UInt64($0))) }
    let (seconds, bytes) = try Stopwatch.measure(calls, on: gpu)
    let (amount, most, unit, scale) =
      switch work {
      case .flops(let flops): (flops, ceiling.flops, "TFLOP/s", 1e-12)
      case .bytes(let bytes): (bytes, ceiling.bytes, "GB/s", 1e-9)
      }
    let rate = seconds > 0 ? amount / seconds : 0
    return Result(
      name: name, shape: shape, seconds: seconds, rate: rate * scale, unit: unit, share: most > 0 ? rate / most : 0, transientBytes: bytes)
  }
}

/// What a GPU does at most, measured: bytes of a long copy, read and written, and a large product of bfloat16 numbers. In a second.
public struct GPUCeiling: Sendable {
  /// Bytes read and written in a second.
  public let bytes: Double
  /// Floating-point operations in a second.
  public let flops: Double

  /// Measures a copy of 1 GB and a product of 8192 × 8192 × 8192.
  /// - Throws: the GPU's error.
  public init(on device: Device) throws {
    let gpu = device.gpu
    let (size, side) = (1 << 30, 8192)
    let memory = Tensor(uninitialized: [2, size], .uint8, on: device)
    let inputs = OpBenchInputs(device: device, seed: 1)
    let (a, b) = (inputs.numbers([side, side]), inputs.numbers([side, side]))
    let c = Tensor(uninitialized: [side, side], .bfloat16, on: device)
    let copy = { (watch: Stopwatch) in watch { gpu.copy(from: memory.address, to: memory.address + size, bytes: size) } }
    let product = { (watch: Stopwatch) in
      watch {
        gpu.blas.multiply(
          BlasMatrix(a.address, .bfloat16, stride: side), BlasMatrix(b.address, .bfloat16, stride: side, transposed: true),
          into: BlasMatrix(c.address, .bfloat16, stride: side), m: side, n: side, k: side)
      }
    }
    let copySeconds = try Stopwatch.measure([copy], on: gpu).seconds
    let productSeconds = try Stopwatch.measure([product], on: gpu).seconds
    withExtendedLifetime((memory, a, b, c)) {}
    bytes = copySeconds > 0 ? 2 * Double(size) / copySeconds : 0
    flops = productSeconds > 0 ? 2 * Double(side) * Double(side) * Double(side) / productSeconds : 0
  }

  /// The line above the table.
  public var text: String {
    "ceiling: copy \(Text.fixed(bytes * 1e-9, 0)) GB/s, bf16 product of 8192³ \(Text.fixed(flops * 1e-12, 0)) TFLOP/s"
  }

  /// The line as `--json` prints it.
  public var json: JSON {
    .object(JSONObject([("ceiling", .bool(true)), ("bytes_per_second", .number(bytes)), ("flops", .number(flops))]))
  }
}

/// Measures parts of calls by events in the device's stream.
final class Stopwatch {
  private let gpu: CUDADevice
  private var marks: [(start: CUDAEvent, end: CUDAEvent)] = []

  private init(_ gpu: CUDADevice) { self.gpu = gpu }

  /// Measures what `body` queues.
  func callAsFunction(_ body: () -> Void) {
    let (start, end) = (CUDAEvent(on: gpu), CUDAEvent(on: gpu))
    gpu.stream.record(start)
    body()
    gpu.stream.record(end)
    marks.append((start, end))
  }

  /// Median seconds of what the calls measure, and the bytes that the last one took for itself.
  static func measure(_ calls: [(Stopwatch) -> Void], on gpu: CUDADevice) throws -> (seconds: Double, bytes: Int) {
    let watch = Stopwatch(gpu)
    // Kernels are compiled, memory is taken.
    for call in calls { call(watch) }
    gpu.synchronize()
    try gpu.check()
    gpu.memory.resetPeak()
    let before = gpu.memory.liveBytes
    calls[0](watch)
    let bytes = gpu.memory.peakBytes - before
    gpu.synchronize()
    let clock = ContinuousClock()
    watch.marks = []
    var queueing = 0.0
    let once = clock.measure {
      queueing = clock.measure { calls[calls.count - 1](watch) }.seconds
      gpu.synchronize()
    }.seconds
    let count = max(7, min(60, Int(0.2 / max(once, 1e-6))))
    watch.marks = []
    // The GPU is kept busy until the host has queued everything, so that no call waits for it.
    let space = Tensor(uninitialized: [256 << 20], .uint8, part: .workspace, on: .cuda(gpu.ordinal))
    for _ in 0..<min(400, Int(queueing * Double(count) / 60e-6) + 1) { gpu.fill(space.address, byte: 0, bytes: space.byteCount) }
    for index in 0..<count { calls[index % calls.count](watch) }
    gpu.synchronize()
    try gpu.check()
    let times = watch.marks.map { Double($0.end.elapsed(since: $0.start)) * 1e-3 }.sorted()
    return (times[times.count / 2], bytes)
  }
}
