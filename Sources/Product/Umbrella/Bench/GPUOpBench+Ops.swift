import SwiftletFormats
import SwiftletOps
import SwiftletTensorCore

/// Where an operation's numbers come from: drawn on the device, or not at all where it is simulated.
struct OpBenchInputs {
  let device: Device
  let seed: UInt64

  func numbers(_ shape: Shape, _ dtype: DType = .bfloat16, scale: Float = 1) -> Tensor {
    let tensor = Tensor(uninitialized: shape, dtype, on: device)
    tensor.draw(.normal, scale: scale, Random(seed: seed, stream: UInt64(shape.count)))
    return tensor
  }

  func integers(_ count: Int, below bound: Int) -> [Int32] {
    let random = Random(seed: seed)
    return (0..<count).map { Int32(random.word(UInt64($0)) % UInt32(bound)) }
  }
}

extension GPUOpBench {
  private static let tokens = 8192
  private static let (width, wide, vocabulary) = (4096, 14336, 128_256)
  private static let rank = 64

  /// Every operation that is measured, by room.
  public static var all: [GPUOpBench] {
    quantization + products + [gatedMLP(backward: false), gatedMLP(backward: true)] + attentions + heads + optimizers + rows + routing
  }

  /// An operation with a matrix of results, forward and backward apart. `bytes` counts those of each.
  private static func pair(
    _ name: String, _ shape: String, _ forward: OpBench.Work, _ backward: OpBench.Work, inputBytes: Int, result: Shape,
    _ make: @escaping @Sendable (OpBenchInputs) -> (inputs: [Tensor], op: ([Tensor]) -> Tensor)
  ) -> [GPUOpBench] {
    [
      GPUOpBench(name: name, shape: shape, work: forward, inputBytes: inputBytes) { place in
        let (inputs, op) = make(place)
        return { watch in watch { _ = op(inputs) } }
      },
      GPUOpBench(name: name + "-backward", shape: shape, work: backward, inputBytes: inputBytes) { place in
        let (inputs, op) = make(place)
        let seed = place.numbers(result)
        return { watch in
          let tape = Tape()
          let output = op(inputs.map { tape.watch($0, for: GradientBox()) })
          watch { tape.backward(from: output, seed: seed) }
        }
      },
    ]
  }

  // MARK: weights and products

  private static var quantization: [GPUOpBench] {
    let made = [QuantizationFormat.nf4, .int8, .fp8, .fp8Blocks].map { format in
      dequantize("\(format)", QuantizedMatrix.byteCount([wide, width], format)) { place in
        QuantizedMatrix(quantizing: place.numbers([wide, width], scale: 0.02), format)
      }
    }
    let blocks = [GGUFType.q4_0, .q8_0, .q2_K, .q3_K, .q4_K, .q5_K, .q6_K].map { type in
      let format = QuantizationFormat.blocks(type.rawValue)
      let bytes = QuantizedMatrix.byteCount([wide, width], format)
      return dequantize("\(type)", bytes) { place in
        // Any bytes are codes.
        let codes = Tensor(place.numbers([bytes / 2]).storage, shape: [wide, bytes / wide], dtype: .uint8)
        return QuantizedMatrix(shape: [wide, width], format: format, codes: codes, scales: .amongCodes)
      }
    }
    return made + blocks
  }

  private static func dequantize(
    _ format: String, _ stored: Int, _ matrix: @escaping @Sendable (OpBenchInputs) -> QuantizedMatrix
  ) -> GPUOpBench {
    GPUOpBench(
      name: "dequantize", shape: "\(format) [\(wide), \(width)] → bf16", work: .bytes(Double(stored + 2 * wide * width)),
      inputBytes: stored + 2 * wide * width
    ) { place in
      let matrix = matrix(place)
      let target = Tensor(uninitialized: [wide, width], .bfloat16, part: .workspace, on: place.device)
      return { watch in watch { matrix.dequantize(into: target) } }
    }
  }

  private static var products: [GPUOpBench] {
    [(width, width), (1024, width), (wide, width), (width, wide)].flatMap { out, width in
      [product(out, width, .dense), product(out, width, .adapted, isBackward: false), product(out, width, .adapted, isBackward: true)]
    }
  }

  private enum Kind { case dense, adapted }

  private static func product(_ out: Int, _ width: Int, _ kind: Kind, isBackward: Bool = false) -> GPUOpBench {
    let flops = 2 * Double(tokens) * Double(out * width)
    let low = 2 * Double(tokens) * Double(rank * (out + width)) * (isBackward ? 2 : 1)
    let sizes = "[\(tokens), \(width)] × [\(out), \(width)]ᵀ"
    let bytes = 2 * (tokens * (width + out) + out * width)
    if kind == .dense {
      return GPUOpBench(name: "matmul", shape: "bf16 \(sizes)", work: .flops(flops), inputBytes: bytes) { place in
        let (x, w) = (place.numbers([tokens, width]), place.numbers([out, width], scale: 0.02))
        return { watch in watch { _ = SwiftletOps.linear(x, w) } }
      }
    }
    return GPUOpBench(
      name: isBackward ? "lora-linear-backward" : "lora-linear", shape: "nf4 \(sizes), rank \(rank)", work: .flops(flops + low),
      inputBytes: bytes
    ) { place in
      let x = place.numbers([tokens, width])
      let map = Adapted(out, width, place)
      let seed = place.numbers([tokens, out])
      return { watch in
        if !isBackward { return watch { _ = SwiftletOps.linear(x, map.operands(on: nil)) } }
        let tape = Tape()
        let output = SwiftletOps.linear(tape.watch(x, for: GradientBox()), map.operands(on: tape))
        watch { tape.backward(from: output, seed: seed) }
      }
    }
  }

  /// An NF4 matrix with its adapter.
  private struct Adapted {
    let matrix: QuantizedMatrix
    let a, b: Tensor

    init(_ out: Int, _ width: Int, _ place: OpBenchInputs) {
      matrix = QuantizedMatrix(quantizing: place.numbers([out, width], scale: 0.02), .nf4)
      (a, b) = (place.numbers([rank, width], scale: 0.02), place.numbers([out, rank], scale: 0.02))
    }

    func operands(on tape: Tape?) -> LinearOperands {
      let lora = LoRAOperands(
        a: tape.map { $0.watch(a, for: GradientBox()) } ?? a, b: tape.map { $0.watch(b, for: GradientBox()) } ?? b, scale: 2)
      return LinearOperands(weight: .quantized(matrix), lora: lora)
    }
  }

  private static func gatedMLP(backward: Bool) -> GPUOpBench {
    let flops = 6 * Double(tokens) * Double(width) * Double(wide)
    let low = 6 * Double(tokens) * Double(rank * (wide + width))
    // Backward computes gate and up again.
    let work = backward ? flops + flops * 2 / 3 + 2 * low : flops + low
    return GPUOpBench(
      name: backward ? "gated-mlp-backward" : "gated-mlp", shape: "nf4 [\(tokens), \(width)] through \(wide), rank \(rank)",
      work: .flops(work), inputBytes: 4 * tokens * width + 3 * wide * width / 2
    ) { place in
      let (x, seed) = (place.numbers([tokens, width]), place.numbers([tokens, width]))
      let norm = RMSNormOperands(weight: place.numbers([width]), epsilon: 1e-5, unitOffset: false)
      let (gate, up, down) = (Adapted(wide, width, place), Adapted(wide, width, place), Adapted(width, wide, place))
      return { watch in
        let call = { (x: Tensor, tape: Tape?) in
          gatedMLPBranch(
            x, norm: norm, gate: gate.operands(on: tape), up: up.operands(on: tape), down: down.operands(on: tape), activation: .silu)
        }
        if !backward { return watch { _ = call(x, nil) } }
        let tape = Tape()
        let output = call(tape.watch(x, for: GradientBox()), tape)
        watch { tape.backward(from: output, seed: seed) }
      }
    }
  }

  // MARK: attention, head, optimizer

  private static var attentions: [GPUOpBench] {
    [(4, 2048), (1, 8192)].flatMap { attention(batch: $0, length: $1) } + attention(batch: 1, length: 8192, byDNN: true).suffix(1)
  }

  private static func attention(batch: Int, length: Int, byDNN: Bool = false) -> [GPUOpBench] {
    let (heads, keyHeads, dimension) = (32, 8, 128)
    // Two products of half a square each; backward has five.
    let flops = 2 * Double(batch * heads * dimension) * Double(length) * Double(length)
    let rows = batch * length
    return pair(
      byDNN ? "attention-cudnn" : "attention", "causal \(batch) × \(length), \(heads)/\(keyHeads) heads of \(dimension)", .flops(flops),
      .flops(2.5 * flops), inputBytes: 2 * rows * (heads + 2 * keyHeads) * dimension, result: [rows, heads * dimension]
    ) { place in
      let layout = SequenceLayout(lengths: [Int](repeating: length, count: batch))
      let options = AttentionOptions(
        heads: heads, keyValueHeads: keyHeads, headDimension: dimension, scale: 1 / Float(dimension).squareRoot())
      let inputs = [heads, keyHeads, keyHeads].enumerated().map { index, heads in
        OpBenchInputs(device: place.device, seed: place.seed * 3 + UInt64(index)).numbers([rows, heads * dimension])
      }
      return (
        inputs,
        {
          // What the gradients come from is asked at their time; nothing else in a benchmark asks.
          place.device.gpu.prefersDNN = byDNN
          return SwiftletOps.attention($0[0], $0[1], $0[2], layout: layout, options)
        }
      )
    }
  }

  private static var heads: [GPUOpBench] {
    let flops = 4 * Double(tokens) * Double(width) * Double(vocabulary)
    let shape = "[\(tokens), \(width)], \(vocabulary) ids, forward and backward"
    return [
      GPUOpBench(name: "cross-entropy", shape: shape, work: .flops(flops), inputBytes: 2 * vocabulary * width) { place in
        let (x, w) = (place.numbers([tokens, width]), place.numbers([vocabulary, width], scale: 0.02))
        let targets = place.integers(tokens, below: vocabulary)
        return { watch in
          watch {
            let tape = Tape()
            let loss = linearCrossEntropy(tape.watch(x, for: GradientBox()), .dense(w), targets: targets).lossSum
            tape.backward(from: loss, seed: Tensor([1 / Float(tokens)], [1], on: place.device))
          }
        }
      }
    ]
  }

  private static var optimizers: [GPUOpBench] {
    // A, B of all linear layers: 448 tensors, 168 million numbers.
    let layer = [(width, width), (1024, width), (1024, width), (width, width), (wide, width), (wide, width), (width, wide)]
    let sizes = (0..<32).flatMap { _ in layer.flatMap { [rank * $0.1, rank * $0.0] } }
    let count = sizes.reduce(0, +)
    return [true, false].map { coded in
      // Gradients are read twice: their norm comes first.
      GPUOpBench(
        name: coded ? "adamw-8bit" : "adamw", shape: "\(count) numbers in \(sizes.count) tensors",
        work: .bytes(Double(count) * (coded ? 22 : 34)), inputBytes: 10 * count
      ) { place in
        let zeros = { (count: Int) in Tensor(zeros: [count], coded ? .uint8 : .float32, part: .optimizer, on: place.device) }
        let scales = { (count: Int) in coded ? Tensor(zeros: [(count + 255) / 256], part: .optimizer, on: place.device) : nil }
        let moments = sizes.map { (m: zeros($0), v: zeros($0)) }
        let adam = GPUAdamW(
          zip(sizes, moments).map { size, moment in
            GPUAdamW.Moments(
              count: size, m: moment.m.address, v: moment.v.address, mScale: scales(size), vScale: scales(size), decay: 0.01)
          }, on: place.device)
        let numbers = sizes.map { size in
          GPUAdamW.Numbers(
            value: place.numbers([size], .float32, scale: 0.02), gradient: place.numbers([size], .float32, scale: 1e-3),
            copy: Tensor(uninitialized: [size], .bfloat16, on: place.device))
        }
        let rule = GPUAdamW.Rule(rate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, maximumNorm: 1)
        return { watch in
          watch { adam.step(numbers, rule) }
          withExtendedLifetime(moments) {}
        }
      }
    }
  }

  // MARK: row by row

  private static var rows: [GPUOpBench] {
    let size = Double(tokens * width)
    let shape = "[\(tokens), \(width)]"
    let norms =
      pair("rms-norm", shape, .bytes(4 * size), .bytes(6 * size), inputBytes: 2 * tokens * width, result: [tokens, width]) { place in
        let weight = place.numbers([width])
        return ([place.numbers([tokens, width])], { rmsNorm($0[0], weight: weight, epsilon: 1e-5) })
      }
      + pair("layer-norm", shape, .bytes(4 * size), .bytes(6 * size), inputBytes: 2 * tokens * width, result: [tokens, width]) { place in
        let (weight, bias) = (place.numbers([width]), place.numbers([width]))
        return ([place.numbers([tokens, width])], { layerNorm($0[0], weight: weight, bias: bias, epsilon: 1e-5) })
      }
    let turned = "\(tokens) tokens, 32 × 128"
    let turning = pair(
      "rope", turned, .bytes(4 * size), .bytes(4 * size), inputBytes: 2 * tokens * width, result: [tokens, width]
    ) { place in
      let (cos, sin) = (place.numbers([tokens, 64], .float32), place.numbers([tokens, 64], .float32))
      return ([place.numbers([tokens, width])], { rope($0[0], heads: 32, cos: cos, sin: sin) })
    }
    let middle = Double(tokens * wide)
    let gates = pair(
      "swiglu", "[\(tokens), \(wide)]", .bytes(6 * middle), .bytes(10 * middle), inputBytes: 4 * tokens * wide, result: [tokens, wide]
    ) { place in
      ([place.numbers([tokens, wide]), place.numbers([tokens, wide])], { swiGLU($0[0], $0[1]) })
    }
    return norms + turning + gates + [addition, lookup]
  }

  private static var addition: GPUOpBench {
    GPUOpBench(
      name: "add", shape: "[\(tokens), \(width)]", work: .bytes(6 * Double(tokens * width)), inputBytes: 4 * tokens * width
    ) { place in
      let (a, b) = (place.numbers([tokens, width]), place.numbers([tokens, width]))
      return { watch in watch { _ = add(a, b) } }
    }
  }

  private static var lookup: GPUOpBench {
    GPUOpBench(
      name: "embedding", shape: "\(tokens) of [\(vocabulary), \(width)]", work: .bytes(4 * Double(tokens * width)),
      inputBytes: 2 * vocabulary * width
    ) { place in
      let table = place.numbers([vocabulary, width])
      let ids = Tensor(place.integers(tokens, below: vocabulary), [tokens], on: place.device)
      return { watch in watch { _ = embedding(ids, table) } }
    }
  }

  private static var routing: [GPUOpBench] {
    let (experts, topK, width) = (64, 8, 2048)
    let size = Double(tokens * topK * width)
    let shape = "[\(tokens), \(width)] to \(topK) of \(experts) experts"
    let prepared = { @Sendable (place: OpBenchInputs) in
      (x: place.numbers([tokens, width]), routing: route(place.numbers([tokens, experts]), topK: topK, normalize: true))
    }
    return [
      GPUOpBench(name: "dispatch", shape: shape, work: .bytes(4 * size), inputBytes: 2 * tokens * width * topK) { place in
        let (x, routing) = prepared(place)
        return { watch in watch { _ = dispatch(x, routing) } }
      },
      GPUOpBench(
        name: "combine", shape: shape, work: .bytes(2 * size + 2 * Double(tokens * width)), inputBytes: 2 * tokens * width * topK
      ) { place in
        let (x, routing) = prepared(place)
        let parts = dispatch(x, routing)
        return { watch in watch { _ = combine(parts, routing) } }
      },
    ]
  }
}
