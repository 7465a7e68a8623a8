import SwiftletOps
import SwiftletTensorCore

/// One op at one shape, to be timed: `swiftlet bench` runs these.
public struct OpBenchmark {
  /// What is timed, with its shape.
  public let name: String
  /// Floating-point operations of one run; 0 where memory is what counts.
  public let flops: Double
  /// Bytes that one run must read and write at least.
  public let bytes: Double
  /// Runs the op once.
  public let run: () -> Void

  /// Times the op: the best of `repeats` runs after one to warm up.
  public func measure(repeats: Int = 5) -> OpTiming {
    run()
    let clock = ContinuousClock()
    let seconds = (0..<repeats).map { _ in
      let time = clock.measure(run).components
      return Double(time.seconds) + Double(time.attoseconds) * 1e-18
    }
    return OpTiming(name: name, seconds: seconds.min() ?? 0, flops: flops, bytes: bytes)
  }
}

/// A measured time, and what it means in throughput.
public struct OpTiming: CustomStringConvertible, Sendable {
  /// What was timed.
  public let name: String
  /// Best time of one run.
  public let seconds: Double
  /// Operations of one run.
  public let flops: Double
  /// Least memory traffic of one run.
  public let bytes: Double
  /// GFLOP/s
  public var gigaflops: Double { flops / seconds * 1e-9 }
  /// GB/s
  public var gigabytes: Double { bytes / seconds * 1e-9 }

  /// `attention …: 12.3 ms, 150 GFLOP/s, 2.1 GB/s`
  public var description: String {
    let rounded = { (x: Double) in (x * 10).rounded() / 10 }
    let work = flops > 0 ? ", \(rounded(gigaflops)) GFLOP/s" : ""
    return "\(name): \(rounded(seconds * 1e4) / 10) ms\(work), \(rounded(gigabytes)) GB/s"
  }
}

extension OpBenchmark {
  /// The ops of a training step at the shape of a 100-million-parameter Llama: width 768, 12 heads, 4 rows of 512 tokens.
  public static func llama100M(hidden: Int = 768, feedForward: Int = 2048, vocabulary: Int = 32000, rows: Int = 4, length: Int = 512)
    -> [OpBenchmark]
  {
    let tokens = rows * length
    let shape = { (columns: Int) in Tensor.normal([tokens, columns], random: Random(seed: 1)) }
    let (x, wide) = (shape(hidden), shape(feedForward))
    let forwardAndBack = { (name: String, flops: Double, bytes: Double, inputs: [Tensor], body: @escaping ([Tensor]) -> Tensor) in
      [
        OpBenchmark(name: name, flops: flops, bytes: bytes) { _ = body(inputs) },
        OpBenchmark(name: name + " + backward", flops: 3 * flops, bytes: 3 * bytes) {
          let tape = Tape()
          let output = body(inputs.map { tape.watch($0, for: GradientBox()) })
          tape.backward(from: output)
        },
      ]
    }
    let size = { (columns: Int) in Double(4 * tokens * columns) }
    let norm = Tensor.normal([hidden], random: Random(seed: 2))
    let options = AttentionOptions(heads: 12, keyValueHeads: 12, headDimension: hidden / 12, scale: 0.125)
    let layout = SequenceLayout(lengths: [Int](repeating: length, count: rows))
    let pairs = Double(rows * length * (length + 1) / 2)
    let tables = Tensor.normal([tokens, hidden / 24], random: Random(seed: 3))
    return forwardAndBack("rmsNorm \(tokens)×\(hidden)", 0, 2 * size(hidden), [x]) { rmsNorm($0[0], weight: norm, epsilon: 1e-5) }
      + forwardAndBack("swiGLU \(tokens)×\(feedForward)", 0, 3 * size(feedForward), [wide, wide]) { swiGLU($0[0], $0[1]) }
      + forwardAndBack("add \(tokens)×\(hidden)", 0, 3 * size(hidden), [x, x]) { add($0[0], $0[1]) }
      + forwardAndBack("rope \(tokens)×\(hidden)", 0, 2 * size(hidden), [x]) { rope($0[0], heads: 12, cos: tables, sin: tables) }
      + forwardAndBack("attention \(rows)×\(length), 12 heads", 4 * pairs * Double(hidden), 4 * size(hidden), [x, x, x]) {
        attention($0[0], $0[1], $0[2], layout: layout, options)
      } + linears(x, wide, vocabulary: vocabulary)
  }

  private static func linears(_ x: Tensor, _ wide: Tensor, vocabulary: Int) -> [OpBenchmark] {
    let (tokens, hidden, feedForward) = (x.shape.rows, x.shape.columns, wide.shape.columns)
    let matrix = { (rows: Int, columns: Int) in Tensor.normal([rows, columns], standardDeviation: 0.02, random: Random(seed: 4)) }
    let up = matrix(feedForward, hidden)
    let (a, b) = (matrix(16, hidden), matrix(feedForward, 16))
    let head = matrix(vocabulary, hidden)
    let targets = (0..<tokens).map { Int32($0 % vocabulary) }
    let product = 2 * Double(tokens * hidden) * Double(feedForward)
    let adapter = 2 * Double(tokens * 16) * Double(hidden + feedForward)
    return [
      OpBenchmark(name: "linear \(tokens)×\(hidden)→\(feedForward)", flops: product, bytes: 0) { _ = linear(x, up) },
      OpBenchmark(name: "loraLinear \(tokens)×\(hidden)→\(feedForward) rank 16", flops: product + adapter, bytes: 0) {
        _ = loraLinear(x, up, lora: LoRAOperands(a: a, b: b, scale: 1))
      },
      OpBenchmark(name: "loraLinear + backward", flops: 2 * product + 3 * adapter, bytes: 0) {
        let tape = Tape()
        let watch = { (tensor: Tensor) in tape.watch(tensor, for: GradientBox()) }
        tape.backward(from: loraLinear(watch(x), up, lora: LoRAOperands(a: watch(a), b: watch(b), scale: 1)))
      },
      OpBenchmark(
        name: "linearCrossEntropy \(tokens)×\(hidden)→\(vocabulary) + backward", flops: 4 * Double(tokens * hidden) * Double(vocabulary),
        bytes: 0
      ) {
        let tape = Tape()
        tape.backward(from: linearCrossEntropy(tape.watch(x, for: GradientBox()), .dense(head), targets: targets).lossSum)
      },
    ]
  }
}
