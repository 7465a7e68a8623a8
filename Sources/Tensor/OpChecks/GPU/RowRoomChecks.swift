import SwiftletCUDA
import SwiftletOps
import SwiftletTensorCore

extension GPUCheck {
  /// Norms, RoPE, gates, element-wise ops, embedding, dropout, routing.
  static let rowRooms: [GPUCheck] = [
    rmsNorms, layerNorms, ropes, gates, elementwise, joinedHeads, embeddings, hostTables, dropouts, routings, groupedRoutings,
  ]

  /// Natural, dividing nothing, one row, none, large.
  private static let shapes: [Shape] = [[8, 64], [33, 127], [1, 48], [0, 16], [300, 4096]]

  private static let rmsNorms = GPUCheck("rmsNorm") { device in
    try shapes.flatMap { shape -> [CheckResult] in
      let (x, w) = (normal(1, shape), normal(2, [shape.columns]))
      // The second output makes a gradient arrive before the norm's.
      return try OpComparison("rmsNorm \(shape)", [x], parameters: [w], keepsParameters: true, noise: 1e-5) { inputs, _ in
        [rmsNorm(inputs[0], weight: inputs[1], epsilon: 1e-5), scaled(inputs[0], by: 1)]
      }.run(on: device)
        + OpComparison("rmsNorm 1+w \(shape)", [x], parameters: [w], noise: 1e-5) { inputs, _ in
          [rmsNorm(inputs[0], weight: inputs[1], epsilon: 1e-5, unitOffset: true)]
        }.run(on: device)
        + OpComparison("rmsNorm frozen \(shape)", [x]) { inputs, place in
          [rmsNorm(inputs[0], weight: w.moved(to: place), epsilon: 1e-5)]
        }.run(on: device)
    }
  }

  private static let layerNorms = GPUCheck("layerNorm") { device in
    try shapes.flatMap { shape -> [CheckResult] in
      let (x, w, b) = (normal(1, shape), normal(2, [shape.columns]), normal(3, [shape.columns]))
      return try OpComparison("layerNorm \(shape)", [x], parameters: [w, b], noise: 1e-5) { inputs, _ in
        [layerNorm(inputs[0], weight: inputs[1], bias: inputs[2], epsilon: 1e-5), scaled(inputs[0], by: 1)]
      }.run(on: device)
        + OpComparison("layerNorm of bias \(shape)", [x], parameters: [b], keepsParameters: true, noise: 1e-5) { inputs, _ in
          [layerNorm(inputs[0], weight: nil, bias: inputs[1], epsilon: 1e-5)]
        }.run(on: device)
        + OpComparison("layerNorm plain \(shape)", [x], noise: 1e-5) { inputs, _ in
          [layerNorm(inputs[0], weight: nil, bias: nil, epsilon: 1e-5)]
        }.run(on: device)
    }
  }

  private static let ropes = GPUCheck("rope") { device in
    try [(5, 2, 16, 8), (33, 3, 10, 3), (1, 1, 8, 4), (0, 1, 8, 4), (129, 32, 128, 64), (65, 5, 80, 32)].flatMap { size -> [CheckResult] in
      let (rows, heads, dimension, half) = size
      let (cos, sin) = (normal(1, [rows, half]), normal(2, [rows, half]))
      return try [false, true].flatMap { interleaved in
        // One at a time: the sum of two gradients would be rounded three times.
        try [false, true].flatMap { isInPlace in
          try OpComparison(
            "rope \(size) interleaved \(interleaved) in place \(isInPlace)", [normal(3, [rows, heads * dimension])]
          ) { inputs, place in
            let x = isInPlace ? scaled(inputs[0], by: 1) : inputs[0]
            return [rope(x, heads: heads, cos: cos.moved(to: place), sin: sin.moved(to: place), interleaved: interleaved)]
          }.run(on: device)
        }
      }
    }
  }

  private static let gates = GPUCheck("gated activations") { device in
    let kinds: [(String, (Tensor, Tensor) -> Tensor)] = [
      ("swiGLU", swiGLU), ("geGLU tanh", { geGLU($0, $1, .tanh) }), ("geGLU erf", { geGLU($0, $1, .erf) }),
      ("clampedSwiGLU", { clampedSwiGLU($0, $1, limit: 2) }),
    ]
    return try kinds.flatMap { name, op in
      try shapes.flatMap { shape in
        try OpComparison("\(name) \(shape)", [normal(1, shape, scale: 3), normal(2, shape)]) { inputs, _ in [op(inputs[0], inputs[1])] }
          .run(on: device)
      }
    }
  }

  private static let elementwise = GPUCheck("elementwise") { device in
    try shapes.flatMap { shape -> [CheckResult] in
      let (a, b, factors) = (normal(1, shape), normal(2, shape), normal(3, [shape.columns]))
      let rows = shape.rows == 0 ? [] : [0, shape.rows - 1, 0]
      return try OpComparison("add \(shape)", [a, b]) { inputs, _ in [add(inputs[0], inputs[1])] }.run(on: device)
        + OpComparison("add to itself \(shape)", [a]) { inputs, _ in [add(inputs[0], inputs[0])] }.run(on: device)
        + OpComparison("scaled \(shape)", [a]) { inputs, _ in [scaled(inputs[0], by: -1.5)] }.run(on: device)
        + OpComparison("widened \(shape)", [a]) { inputs, _ in [widened(inputs[0])] }.run(on: device)
        + OpComparison("scaleColumns \(shape)", [a], parameters: [factors], keepsParameters: true, noise: 1e-5) { inputs, _ in
          [scaleColumns(inputs[0], inputs[1])]
        }.run(on: device)
        + OpComparison("splitColumns \(shape)", [a]) { inputs, _ in splitColumns(inputs[0], [8, shape.columns - 10, 0, 2]) }.run(on: device)
        + OpComparison("selectRows \(shape)", [a]) { inputs, _ in [selectRows(inputs[0], rows)] }.run(on: device)
    }
  }

  private static let joinedHeads = GPUCheck("joinHeads") { device in
    try headComparison(33, 3, 5, 2, device) + headComparison(4, 1, 8, 8, device) + headComparison(0, 2, 3, 4, device)
      + headComparison(129, 16, 128, 64, device)
  }

  private static func headComparison(_ rows: Int, _ heads: Int, _ n: Int, _ m: Int, _ device: CUDADevice) throws -> [CheckResult] {
    let size = "\(rows)×\(heads)×(\(n) + \(m))"
    let a = normal(1, [rows, heads * n])
    let own = OpComparison("joinHeads \(size)", [a, normal(2, [rows, heads * m])]) { inputs, _ in
      [joinHeads(inputs[0], inputs[1], heads: heads)]
    }
    let common = OpComparison("joinHeads shared \(size)", [a, normal(3, [rows, m])], noise: 1e-5) { inputs, _ in
      [joinHeads(inputs[0], inputs[1], heads: heads, sharesB: true)]
    }
    let split = OpComparison("splitHeads \(size)", [normal(4, [rows, heads * (n + m)])]) { inputs, _ in
      let (first, second) = splitHeads(inputs[0], heads: heads, first: n)
      return [first, second]
    }
    return try own.run(on: device) + common.run(on: device) + split.run(on: device)
  }

  private static let embeddings = GPUCheck("embedding") { device in
    try [([Int32(3), 0, 3, 10, 2, 3], 11, 24), ((0..<5000).map { Int32($0 * $0 % 97) }, 97, 256), ([], 4, 8)].flatMap {
      (ids, vocabulary, dimension) -> [CheckResult] in
      let (table, a, b) = (normal(6, [vocabulary, dimension]), normal(7, [2, vocabulary]), normal(8, [dimension, 2]))
      let places = Tensor(ids, [ids.count])
      // A sum of thousands of gradients in one order here and another there.
      return try OpComparison("embedding \(ids.count) of \(table.shape)", [], parameters: [table], noise: 2e-5) { inputs, place in
        [embedding(places.moved(to: place), inputs[0], scale: 1.5)]
      }.run(on: device)
        + loraEmbedding(places, table, a, b, on: device)
    }
  }

  // With an adapter the sum is rounded between its two parts.
  private static func loraEmbedding(
    _ places: Tensor, _ table: Tensor, _ a: Tensor, _ b: Tensor, on device: CUDADevice
  ) throws -> [CheckResult] {
    if device.blas.error != nil || places.count == 0 { return [] }
    return try OpComparison("embedding with LoRA \(places.count) of \(table.shape)", [], parameters: [table, a, b], noise: 8e-3) {
      inputs, place in
      [embedding(places.moved(to: place), inputs[0], scale: 1.5, lora: LoRAOperands(a: inputs[1], b: inputs[2], scale: 0.7))]
    }.run(on: device)
  }

  private static let hostTables = GPUCheck("embedding from host memory") { device in
    let table = normal(6, [50, 64])
    let ids = Tensor((0..<33).map { Int32($0 * 7 % 50) }, [33])
    let pinned = PinnedMemory(table.byteCount, on: device)
    pinned.pointer.copyMemory(from: UnsafeRawPointer(table.bytes), byteCount: table.byteCount)
    let mapped = Tensor(Storage(viewing: pinned.pointer, byteCount: table.byteCount, owner: pinned), shape: table.shape, dtype: .float32)
    return OpComparison.formats.flatMap { format in
      let wanted = OpComparison.floats(OpComparison.rounded(embedding(ids, table, scale: 2), to: format))
      return [("ordinary", table), ("pinned", mapped)].map { name, table in
        let found = embedding(ids.moved(to: .cuda(device.ordinal)), table, scale: 2, dtype: format)
        return CheckResult(
          name: "embedding \(format) from \(name) memory: differences", error: differences(wanted, OpComparison.floats(found)), tolerance: 0
        )
      }
    }
  }

  private static let dropouts = GPUCheck("dropout") { device in
    let dropout = Dropout(probability: 0.3, random: Random(seed: 0x1234_5678_9ABC_DEF0, stream: 0xFEDC_BA98_7654_3210))
    return [(33, 127, 0), (16, 64, 12), (8, 64, 7), (100, 4096, 1 << 34)].flatMap { rows, columns, first in
      OpComparison.formats.map { format in
        let x = OpComparison.rounded(normal(1, [rows, columns]), to: format)
        let wanted = OpComparison.rounded(dropout.dropped(x.float32, first: first), to: format).float32.array(Float.self)
        let found = OpComparison.floats(dropout.dropped(x.moved(to: .cuda(device.ordinal)), first: first))
        return CheckResult(
          name: "dropout \(format) \(rows)×\(columns) from \(first): differences", error: differences(wanted, found), tolerance: 0)
      }
    }
  }

  private static let routings = GPUCheck("routing") { device in
    try [(9, 5, 2, 12), (33, 5, 5, 127), (512, 128, 8, 256)].flatMap { tokens, experts, topK, columns in
      let (logits, x) = (normal(1, [tokens, experts]), normal(2, [tokens, columns]))
      return try [RouterScore.softmax, .sigmoid].flatMap { score in
        try OpComparison("route \(tokens)×\(experts) top \(topK) \(score)", [logits, x], noise: 2e-5) { inputs, _ in
          let routing = route(inputs[0], topK: topK, normalize: score == .softmax, score: score, scale: 1.5)
          let parts = dispatch(inputs[1], routing)
          return [routing.weights, combine(parts, routing)]
        }.run(on: device)
      }
    }
  }

  private static let groupedRoutings = GPUCheck("routing in groups") { device in
    try groupedRouting(9, 6, 3, 2, 3, device) + groupedRouting(33, 64, 8, 4, 8, device) + groupedRouting(300, 256, 8, 4, 8, device)
      + groupedRouting(5, 64, 64, 5, 4, device)
  }

  private static func groupedRouting(
    _ tokens: Int, _ experts: Int, _ groups: Int, _ kept: Int, _ topK: Int, _ device: CUDADevice
  ) throws -> [CheckResult] {
    let (logits, bias) = (normal(1, [tokens, experts]), normal(2, [experts], scale: 0.1))
    let name = "route \(tokens)×\(experts) top \(topK) in \(kept) of \(groups) groups"
    return try OpComparison(name, [logits], noise: 2e-5) { inputs, place in
      let routing = route(
        inputs[0], topK: topK, normalize: true, score: .sigmoid, bias: bias.moved(to: place), scale: 2.5,
        groups: RouterGroups(count: groups, kept: kept))
      return [routing.weights]
    }.run(on: device)
  }
}
