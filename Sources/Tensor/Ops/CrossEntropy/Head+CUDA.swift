import SwiftletCPU
import SwiftletCUDA
import SwiftletTensorCore

/// A language-model head on a GPU, rows in chunks and, where the weight is quantised, outputs in slices.
///
/// The logits of a chunk take at most `logitBytes`; 512 rows of 128,256 logits in 16 bits, at which products run at the full rate of the
/// GPU. A quantised head never stands in memory as numbers whole: each slice is dequantised for a chunk's logits and again for their way
/// back, 0.7 ms for 128,256 × 4,096 on an H200 beside the 1.4 ms of the chunk's products; with more rows a chunk would need more memory.
struct GPUHead {
  /// Most bytes of a chunk's logits.
  static let logitBytes = 128 << 20
  /// Most bytes of a slice of a quantised head.
  static let sliceBytes = 32 << 20

  let operands: LinearOperands
  let options: HeadOptions

  var inputs: Int { operands.weight.inputs }
  var vocabulary: Int { operands.weight.outputs }

  /// Rows per chunk, whole tiles of 128 where there are so many.
  func chunkRows(_ dtype: DType) -> Int {
    let rows = max(1, Self.logitBytes / max(1, vocabulary * dtype.size))
    return rows < 128 ? rows : rows / 128 * 128
  }

  /// Calls `body` with ranges of outputs and their rows of the weight in `dtype`.
  private func forEachSlice(_ dtype: DType, on device: Device, _ body: (Range<Int>, Tensor) -> Void) {
    guard case .quantized(let matrix) = operands.weight else {
      return body(0..<vocabulary, operands.weight.dense(dtype, on: device))
    }
    let most = max(128, Self.sliceBytes / (inputs * dtype.size) / 128 * 128)
    let buffer = Tensor(uninitialized: [min(most, vocabulary), inputs], dtype, part: .workspace, on: device)
    for start in stride(from: 0, to: vocabulary, by: most) {
      let range = start..<min(start + most, vocabulary)
      let slice = buffer.rows(0..<range.count)
      matrix.dequantize(rows: range, into: slice)
      body(range, slice)
    }
  }

  /// `y = x·Wᵀ + s·drop(x)·Aᵀ·Bᵀ + bias`, y of the format of `x` or float32; returns `drop(x)·Aᵀ`.
  func forward(_ x: Tensor, dropout: Dropout?, into y: Tensor) -> Tensor? {
    let (rows, blas) = (x.shape.rows, x.gpu.blas)
    let bias = operands.bias?.cast(to: y.dtype, part: .workspace)
    defer { keepAlive(bias) }
    var h: Tensor?
    if let lora = operands.lora {
      precondition(lora.magnitude == nil, "DoRA on the language-model head is not there on a GPU: leave lm_head out, or use LoRA")
      let low = x.fresh(rows, lora.rank)
      let dropped = dropout?.dropped(x) ?? x
      blas.multiply(dropped.matrix, lora.a.transposedMatrix, into: low.matrix, m: rows, n: lora.rank, k: inputs)
      blas.multiply(
        low.matrix, lora.b.transposedMatrix, into: y.matrix, m: rows, n: vocabulary, k: lora.rank, alpha: lora.scale)
      h = low
    }
    forEachSlice(x.dtype, on: x.device) { range, weight in
      blas.multiply(
        x.matrix, weight.transposedMatrix, into: y.block(first: range.lowerBound, columns: range.count), m: rows, n: range.count,
        k: inputs, beta: h == nil ? 0 : 1, bias: bias.map { ($0.address + range.lowerBound * $0.dtype.size, $0.dtype.blas) })
    }
    return h
  }

  /// Adds to `gradients` and writes the gradient of `x`; rows of a quantised head are summed in float32 over the slices.
  func backward(_ dy: Tensor, x: Tensor, h: Tensor?, dropout: Dropout?, dx: Tensor?, gradients: ProjectionGradients) {
    let (rows, blas) = (dy.shape.rows, dy.gpu.blas)
    if let target = gradients.bias { addColumnSums(of: dy, to: target) }
    if let target = gradients.weight {
      blas.multiply(dy.matrix.T, x.matrix, into: target.matrix, m: vocabulary, n: inputs, k: rows, beta: 1)
    }
    var started = false
    if let lora = operands.lora, let h {
      let adapter = GPUProjection(operands)
      let dz = adapter.adapterGradients(dy, lora, x: dropout?.dropped(x) ?? x, h: h, gradients)
      if let dx {
        var masked = lora
        masked.dropout = dropout
        if dropout != nil { dx.gpu.fill(dx.address, byte: 0, bytes: dx.byteCount) }
        adapter.addThroughAdapter(dz, masked, into: dx, accumulate: dropout != nil)
        started = true
      }
    }
    guard let dx else { return }
    forEachSlice(dy.dtype, on: dy.device) { range, weight in
      blas.multiply(
        dy.block(first: range.lowerBound, columns: range.count), weight.matrix, into: dx.matrix, m: rows, n: inputs, k: range.count,
        beta: started ? 1 : 0)
      started = true
    }
  }
}

/// The rows of a stream that have a target, on their way through a head.
struct GPUHeadPass {
  let head: GPUHead
  /// [tokens, features]
  let x: Tensor
  /// The rows that count, ascending.
  let rows: [Int]
  /// int32 [tokens]
  let targets: Tensor
  /// int32 [rows]
  private let places: Tensor

  init(_ head: GPUHead, _ x: Tensor, targets: [Int32]) {
    (self.head, self.x) = (head, x)
    rows = targetRows(targets, rows: x.shape.rows, vocabulary: head.vocabulary)
    self.targets = Tensor(targets, [targets.count], part: .workspace, on: x.device)
    places = Tensor(rows.map(Int32.init), [rows.count], part: .workspace, on: x.device)
  }

  /// For each chunk: logits, losses times `lossFactor` to `losses` [tokens], and where `gradients` are given the way back to the hidden
  /// states with each row's gradient times `seedFactor` and its seed of `seeds` [tokens].
  func run(
    _ loss: TokenLoss, losses: Tensor, lossFactor: Float = 1, seeds: Tensor? = nil, seedFactor: Float = 1,
    gradients: ProjectionGradients? = nil, dx: Tensor? = nil
  ) {
    let chunk = head.chunkRows(x.dtype)
    if let dx, rows.count < x.shape.rows { dx.fillZero() }
    for start in stride(from: 0, to: rows.count, by: chunk) {
      let count = min(chunk, rows.count - start)
      let isTogether = rows[start + count - 1] - rows[start] == count - 1
      let input = isTogether ? x.rows(rows[start]..<rows[start] + count) : gathered(start, count)
      let dropout = head.operands.lora?.dropout.map { Dropout(probability: $0.probability, random: $0.random.split(UInt64(start))) }
      let logits = x.fresh(count, head.vocabulary)
      let h = head.forward(input, dropout: dropout, into: logits)
      evaluate(
        logits, start, loss, losses: losses, lossFactor: lossFactor, seeds: seeds, seedFactor: seedFactor, gradient: gradients != nil)
      guard let gradients else { continue }
      back(logits, input, h, start, isTogether, dropout, gradients, dx)
    }
  }

  private func back(
    _ logits: Tensor, _ input: Tensor, _ h: Tensor?, _ start: Int, _ isTogether: Bool, _ dropout: Dropout?,
    _ gradients: ProjectionGradients, _ dx: Tensor?
  ) {
    let count = input.shape.rows
    guard let dx else { return head.backward(logits, x: input, h: h, dropout: dropout, dx: nil, gradients: gradients) }
    let isSliced = head.operands.weight.quantized != nil
    if isTogether && !isSliced {
      return head.backward(
        logits, x: input, h: h, dropout: dropout, dx: dx.rows(rows[start]..<rows[start] + count), gradients: gradients)
    }
    // Dropout writes the format of the activations.
    let part = x.fresh(count, head.inputs, isSliced && dropout == nil ? .float32 : nil)
    head.backward(logits, x: input, h: h, dropout: dropout, dx: part, gradients: gradients)
    kernel("CrossEntropy.cu", "scatter_rows", Self.rowDefines(dx.dtype, part.dtype), on: x.gpu).launch(
      grid: (count, 1, 1), block: (256, 1, 1), dx.address, part.address, places.address + start * 4, Int64(head.inputs))
  }

  private func gathered(_ start: Int, _ count: Int) -> Tensor {
    let result = x.fresh(count, head.inputs)
    kernel("CrossEntropy.cu", "gather_rows", Self.rowDefines(x.dtype, x.dtype), on: x.gpu).launch(
      grid: (count, 1, 1), block: (256, 1, 1), result.address, x.address, places.address + start * 4, Int64(head.inputs))
    return result
  }

  static func rowDefines(_ to: DType, _ from: DType) -> [KernelDefine] {
    [KernelDefine("HEAD_ROWS", 1), KernelDefine("T", to.cudaName), KernelDefine("S", from.cudaName)]
  }

  private func evaluate(
    _ logits: Tensor, _ start: Int, _ loss: TokenLoss, losses: Tensor, lossFactor: Float, seeds: Tensor?, seedFactor: Float,
    gradient: Bool
  ) {
    let (options, kept) = (head.options, 4 * 1024)
    // What of a row does not wait in registers waits in shared memory, as far as it fits; 1 KiB is the kernel's own.
    let room = max(0, logits.gpu.sharedMemoryPerBlock - 1024)
    let shared = gradient ? min(room, max(0, head.vocabulary * logits.dtype.size - kept * 16)) / 16 * 16 : 0
    kernel(
      "CrossEntropy.cu", "token_loss", Self.lossDefines(logits.dtype, hasCap: options.softCap != nil, isSmooth: loss.labelSmoothing != 0),
      on: logits.gpu
    ).launch(
      grid: (logits.shape.rows, 1, 1), block: (1024, 1, 1), shared: shared, logits.address, losses.address, targets.address,
      places.address + start * 4, seeds?.address ?? .null, lossFactor, seedFactor, UInt32(head.vocabulary), Int64(head.vocabulary),
      options.logitScale, options.softCap ?? 1, loss.labelSmoothing, loss.zLoss, UInt32(loss.isDynamic ? 1 : 0),
      UInt32(gradient ? 1 : 0), UInt32(kept + shared / 16))
  }

  static func lossDefines(_ dtype: DType, hasCap: Bool, isSmooth: Bool) -> [KernelDefine] {
    [
      KernelDefine("TOKEN_LOSS", 1), KernelDefine("T", dtype.cudaName), KernelDefine("CAP", hasCap ? 1 : 0),
      KernelDefine("SMOOTH", isSmooth ? 1 : 0),
    ]
  }
}

/// Σ of a float32 tensor on a GPU, in a fixed order: [1].
func sumOnGPU(_ values: Tensor) -> Tensor {
  let result = Tensor(uninitialized: [1], on: values.device)
  kernel("CrossEntropy.cu", "sum_losses", [KernelDefine("SUM_LOSSES", 1)], on: values.gpu)
    .launch(grid: (1, 1, 1), block: (1024, 1, 1), result.address, values.address, Int64(values.count))
  return result
}

/// `tensor` times the one number of `factor`, which stays on the GPU; in place where the tensor is owned alone.
func multiplyOnGPU(_ tensor: consuming Tensor, by factor: Tensor) -> Tensor {
  precondition(factor.count == 1 && factor.dtype == .float32, "one float32 number is wanted, not \(factor.shape) \(factor.dtype)")
  var own = tensor
  if !own.isUniquelyOwned() { own = own.copied() }
  if own.count == 0 { return own }
  let perBlock = 256 * 16 / own.dtype.size
  kernel("CrossEntropy.cu", "scale_by", GPUHeadPass.rowDefines(own.dtype, own.dtype), on: own.gpu)
    .launch(grid: ((own.count + perBlock - 1) / perBlock, 1, 1), block: (256, 1, 1), own.address, factor.address, Int64(own.count))
  return own
}

extension ProjectionGradients {
  /// Zeroed memory for the parameters of `operands` that want a gradient.
  init(zerosFor operands: LinearOperands) {
    func zeros(_ tensor: Tensor?) -> Tensor? {
      tensor.flatMap { $0.needsGradient ? Tensor(zeros: $0.shape, part: .gradients, on: $0.device) : nil }
    }
    weight = zeros(operands.weight.trained)
    bias = zeros(operands.bias)
    a = zeros(operands.lora?.a)
    b = zeros(operands.lora?.b)
    magnitude = zeros(operands.lora?.magnitude)
  }
}

extension KernelVariants {
  /// What a test run compiles of this room.
  static let crossEntropy: [KernelVariant] = {
    let types = [DType.bfloat16, .float16, .float32]
    let losses = types.flatMap { type in
      [(false, false), (true, true)].map { GPUHeadPass.lossDefines(type, hasCap: $0, isSmooth: $1) }
    }
    return [
      KernelVariant("CrossEntropy.cu", ["token_loss"], losses),
      KernelVariant(
        "CrossEntropy.cu", ["gather_rows", "scatter_rows", "scale_by", "cap_logits"],
        types.map { GPUHeadPass.rowDefines($0, .float32) }),
      KernelVariant("CrossEntropy.cu", ["sum_losses"], [[KernelDefine("SUM_LOSSES", 1)]]),
    ]
  }()
}
