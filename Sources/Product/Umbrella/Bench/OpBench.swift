import SwiftletCPU
import SwiftletOps
import SwiftletTensorCore
import SwiftletTracking

/// One operation to measure, at a size that real models use.
public struct OpBench: Sendable {
  /// What limits an operation, and what its rate counts.
  public enum Work: Sendable {
    /// Floating-point operations.
    case flops(Double)
    /// Bytes read and written.
    case bytes(Double)
  }

  /// The operation's name, one word.
  public let name: String
  /// The sizes.
  public let shape: String
  let work: Work
  /// The sizes of a matrix product, by the letters of the field.
  var sizes: [(String, Int)] = []
  let prepare: @Sendable () -> () -> Void

  /// What one measurement found.
  public struct Result: Sendable {
    /// The operation's name.
    public let name: String
    /// The sizes.
    public let shape: String
    /// The shortest time of one call, in seconds.
    public let seconds: Double
    /// GFLOP/s or GB/s at that time.
    public let rate: Double
    /// `GFLOP/s` or `GB/s`.
    public let unit: String
    let sizes: [(String, Int)]

    /// The line as people read it.
    public var text: String {
      let space = String(repeating: " ", count: max(1, 14 - name.count))
      return "\(name)\(space)\(Text.fixed(rate, 1)) \(unit)  \(Text.fixed(seconds * 1e6, 0)) µs  \(shape)"
    }

    /// The line as `--json` prints it.
    public var json: JSON {
      .object(
        JSONObject(
          [
            ("op", .string(name)), ("shape", .string(shape)), ("seconds", .number(seconds)), ("rate", .number(rate)),
            ("unit", .string(unit)),
          ] + sizes.map { ($0.0, .int($0.1)) } + (sizes.isEmpty ? [] : [("gflops", .number(rate))])))
    }
  }

  /// Calls the operation for about half a second and keeps the best time: others' work on the machine only ever adds to it.
  public func run() -> Result {
    let call = prepare()
    call()
    let clock = ContinuousClock()
    let start = clock.now
    var best = Double.infinity
    repeat {
      best = min(best, clock.measure(call).seconds)
    } while start.duration(to: clock.now) < .milliseconds(500)
    switch work {
    case .flops(let count): return Result(name: name, shape: shape, seconds: best, rate: count / best / 1e9, unit: "GFLOP/s", sizes: sizes)
    case .bytes(let count): return Result(name: name, shape: shape, seconds: best, rate: count / best / 1e9, unit: "GB/s", sizes: sizes)
    }
  }

  /// Every operation that is measured.
  public static var all: [OpBench] {
    [
      linear("matmul", tokens: 1024, in: 1024, out: 1024, .float32), linear("matmul", tokens: 512, in: 4096, out: 4096, .float32),
      linear("matmul", tokens: 2048, in: 768, out: 2048, .float32), linear("matmul", tokens: 2048, in: 2048, out: 768, .float32),
      linear("matmul-bf16", tokens: 512, in: 4096, out: 4096, .bfloat16),
      linear("matvec", tokens: 1, in: 2048, out: 8192, .float32), linear("matvec-bf16", tokens: 1, in: 2048, out: 8192, .bfloat16),
      attention(tokens: 1024, heads: 16, dimension: 64), norm(tokens: 2048, width: 1024), rotary(tokens: 2048, heads: 16, dimension: 64),
      gated(tokens: 2048, width: 2816), crossEntropy(tokens: 256, width: 768, vocabulary: 32000), adamW(count: 8 << 20),
    ]
  }

  private static func numbers(_ shape: Shape, _ dtype: DType = .float32) -> Tensor {
    let random = Random(seed: 1)
    let values = (0..<shape.count).map { random.uniform(UInt64($0)) - 0.5 }
    return dtype == .bfloat16 ? Tensor(values.map { BFloat16($0) }, shape) : Tensor(values, shape)
  }

  private static func linear(_ name: String, tokens: Int, in width: Int, out: Int, _ dtype: DType) -> OpBench {
    let weightBytes = Double(out * width * dtype.size)
    let work = tokens == 1 ? Work.bytes(weightBytes) : .flops(2 * Double(tokens) * Double(width) * Double(out))
    let sizes = [("m", tokens), ("n", out), ("k", width)]
    return OpBench(name: name, shape: "[\(tokens), \(width)] × [\(out), \(width)]ᵀ", work: work, sizes: sizes) {
      let (x, w) = (numbers([tokens, width]), numbers([out, width], dtype))
      return { _ = SwiftletOps.linear(x, w) }
    }
  }

  private static func attention(tokens: Int, heads: Int, dimension: Int) -> OpBench {
    // Two products of half a square each.
    let flops = 2 * Double(tokens) * Double(tokens) * Double(heads * dimension)
    return OpBench(name: "attention", shape: "\(tokens) tokens, \(heads) × \(dimension), causal", work: .flops(flops)) {
      let parts = (0..<3).map { _ in numbers([tokens, heads * dimension]) }
      let layout = SequenceLayout(queryStarts: [0, tokens], keyStarts: [0, tokens])
      let options = AttentionOptions(
        heads: heads, keyValueHeads: heads, headDimension: dimension, scale: 1 / Float(dimension).squareRoot())
      return { _ = SwiftletOps.attention(parts[0], parts[1], parts[2], layout: layout, options) }
    }
  }

  private static func norm(tokens: Int, width: Int) -> OpBench {
    OpBench(name: "rms-norm", shape: "[\(tokens), \(width)]", work: .bytes(8 * Double(tokens * width))) {
      let (x, w) = (numbers([tokens, width]), numbers([width]))
      return { _ = rmsNorm(x, weight: w, epsilon: 1e-6) }
    }
  }

  private static func rotary(tokens: Int, heads: Int, dimension: Int) -> OpBench {
    OpBench(name: "rope", shape: "\(tokens) tokens, \(heads) × \(dimension)", work: .bytes(8 * Double(tokens * heads * dimension))) {
      let x = numbers([tokens, heads * dimension])
      let (cos, sin) = (numbers([tokens, dimension / 2]), numbers([tokens, dimension / 2]))
      return { _ = rope(x, heads: heads, cos: cos, sin: sin) }
    }
  }

  private static func gated(tokens: Int, width: Int) -> OpBench {
    OpBench(name: "swiglu", shape: "[\(tokens), \(width)]", work: .bytes(12 * Double(tokens * width))) {
      let (gate, up) = (numbers([tokens, width]), numbers([tokens, width]))
      return { _ = swiGLU(gate, up) }
    }
  }

  private static func crossEntropy(tokens: Int, width: Int, vocabulary: Int) -> OpBench {
    let flops = 2 * Double(tokens) * Double(width) * Double(vocabulary)
    return OpBench(name: "cross-entropy", shape: "[\(tokens), \(width)], \(vocabulary) ids", work: .flops(flops)) {
      let (x, w) = (numbers([tokens, width]), numbers([vocabulary, width]))
      let targets = (0..<tokens).map { Int32($0 * 31 % vocabulary) }
      return { _ = linearCrossEntropy(x, .dense(w), targets: targets) }
    }
  }

  private static func adamW(count: Int) -> OpBench {
    OpBench(name: "adamw", shape: "[\(count)]", work: .bytes(28 * Double(count))) {
      let (p, g) = (numbers([count]), numbers([count]))
      let (m, v) = (Tensor(zeros: [count]), Tensor(zeros: [count]))
      return {
        AdamW.update(parameter: p, gradient: g, m: m, v: v, step: 1, learningRate: 1e-3)
      }
    }
  }
}

extension Duration {
  /// The duration in seconds.
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
