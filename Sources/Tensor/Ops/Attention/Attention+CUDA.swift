import SwiftletCUDA
import SwiftletTensorCore

/// Which kernels compute an attention on a GPU.
enum AttentionKernels: Sendable {
  /// Warpgroup matrix instructions and the copy engine (sm_90a), bf16 and fp16.
  case hopper
  /// Warp-wide matrix instructions, `keys` at a time: bf16 and fp16 from sm_80 on, fp16 on sm_75.
  case matrix(keys: Int)
  /// float32 arithmetic, `rows` rows a warp: any format, any head size.
  case plain(rows: Int)
}

extension AttentionOptions {
  /// Whether `device` has a kernel for heads this wide: on a GPU its shared memory sets a limit (512 features on most), on the CPU nothing.
  public func fits(_ device: Device) -> Bool { !device.isCUDA || CUDAAttention.plainRows(self, device.gpu.sharedMemoryPerBlock) != nil }
}

/// One attention on a GPU: the choice of kernels, their specialisations and launches.
///
/// Log-sums are [heads, tokens] float32, whichever kernels made them. Every kernel adds in a fixed order.
struct CUDAAttention {
  let plan: AttentionPlan
  let device: Device
  let dtype: DType
  let forwardKernels: AttentionKernels
  let backwardKernels: AttentionKernels

  var options: AttentionOptions { plan.options }
  var gpu: CUDADevice { device.gpu }
  var heads: Int { options.heads }
  var width: Int { options.headDimension }
  var queries: Int { plan.layout.queries }

  init(_ plan: AttentionPlan, like q: Tensor) {
    (self.plan, device, dtype) = (plan, q.device, q.dtype)
    let general = Self.general(plan.options, q.dtype, q.gpu)
    let isHopper = Self.isMatrix(plan.options, q.dtype) && q.gpu.architecture == "sm_90a" && plan.options.scale > 0
    forwardKernels = isHopper && [64, 80, 96, 128].contains(plan.options.headDimension) ? .hopper : general
    backwardKernels = isHopper && [64, 128].contains(plan.options.headDimension) ? .hopper : general
  }

  private static func isMatrix(_ options: AttentionOptions, _ dtype: DType) -> Bool {
    let width = options.headDimension
    return dtype != .float32 && options.values == width && width <= 256 && width % (width > 128 ? 32 : 16) == 0
  }

  /// What runs on every architecture.
  private static func general(_ options: AttentionOptions, _ dtype: DType, _ gpu: CUDADevice) -> AttentionKernels {
    let limit = gpu.sharedMemoryPerBlock
    if isMatrix(options, dtype) && (gpu.capability.major >= 8 || dtype == .float16 && gpu.capability == (7, 5)) {
      let keys = (options.headDimension > 128 ? [32] : [64, 32]).first { matrixShared(options.headDimension, tiles: 2, keys: $0) <= limit }
      if let keys { return .matrix(keys: keys) }
    }
    guard let rows = plainRows(options, limit) else {
      preconditionFailure("attention heads of \(options.headDimension) features are too wide for \(gpu.name)")
    }
    return .plain(rows: rows)
  }

  /// Rows a warp of the kernels that take any width; nil where not even one fits in `limit` bytes of shared memory.
  static func plainRows(_ options: AttentionOptions, _ limit: Int) -> Int? {
    let widest = max(options.headDimension, options.values)
    // Wide heads: fewer rows a warp, for registers.
    let choices = widest > 512 ? [] : widest > 128 ? [2, 1] : [4, 2, 1]
    return choices.first { plainShared(options, tiles: options.headDimension + options.values, rows: $0) <= limit }
  }

  static func matrixShared(_ width: Int, tiles: Int, keys: Int) -> Int { 2 * (width + 8) * (64 * tiles + 2 * keys) }
  static func plainShared(_ options: AttentionOptions, tiles: Int, rows: Int) -> Int {
    let widest = max(options.headDimension, options.values)
    return 4 * (8 * rows * tiles + 32 * (widest + 1 - widest % 2))
  }

  // MARK: What kernels are told

  var hasCap: Int { options.softCap == nil ? 0 : 1 }
  var cap: Float { options.softCap ?? 0 }
  var causal: Int32 { options.causal ? 1 : 0 }
  /// The kernels add a window to positions: large enough for all keys, small enough for 32 bits.
  var window: Int32 { Int32(min(options.window ?? 1 << 29, 1 << 29)) }
  var group: Int32 { Int32(options.group) }

  func plainKernel(_ function: StaticString, rows: Int) -> CUDAKernel {
    kernel(
      "Attention.cu", function,
      [
        KernelDefine("T", dtype.cudaName), KernelDefine("D", width), KernelDefine("DV", options.values), KernelDefine("ROWS", rows),
        KernelDefine("CAP", hasCap),
      ], on: gpu)
  }
  func matrixKernel(_ function: StaticString, keys: Int) -> CUDAKernel {
    kernel(
      "AttentionMMA.cu", function,
      [
        KernelDefine("T", dtype.cudaName), KernelDefine("D", width), KernelDefine("WARPS", 4), KernelDefine("BLOCK", keys),
        KernelDefine("PARTS", width > 128 ? 2 : 1), KernelDefine("CAP", hasCap),
      ], on: gpu)
  }

  /// Σ dy·y and the sinks' gradient.
  func rowKernel(_ function: StaticString) -> CUDAKernel {
    kernel("AttentionRows.cu", function, [KernelDefine("T", dtype.cudaName), KernelDefine("D", options.values)], on: gpu)
  }

  // MARK: Forward

  func forward(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ sinks: Tensor?) -> (output: Tensor, logSums: Tensor) {
    let output = Tensor(uninitialized: [queries, plan.outputWidth], dtype, on: device)
    let logSums = Tensor(uninitialized: [heads, queries], on: device)
    if queries == 0 { return (output, logSums) }
    let logits = sinks?.cast(to: .float32, part: .workspace)
    if case .hopper = forwardKernels {
      forwardHopper(q, k, v, logits, output, logSums)
    } else {
      let tiles = AttentionTiles(.queries, size: forwardKernels.queryTile, plan, on: device)
      forward(
        ForwardPlaces(
          output: output.address, logSums: logSums.address, q: q.address, k: k.address, v: v.address,
          sinks: logits?.address ?? .null, tiles: tiles.records.address),
        tiles: tiles.count, queries: queries, keysOfOne: 0)
    }
    withExtendedLifetime(logits) {}
    return (output, logSums)
  }

  /// Where one launch reads and writes.
  struct ForwardPlaces {
    let output, logSums, q, k, v, sinks, tiles: DevicePointer
  }

  func forward(_ at: ForwardPlaces, tiles: Int, queries: Int, keysOfOne: Int) {
    let (kernel, threads, shared) =
      switch forwardKernels {
      case .matrix(let keys):
        (matrixKernel("attention_forward", keys: keys), 128, Self.matrixShared(width, tiles: 1, keys: keys))
      case .plain(let rows):
        (plainKernel("attention_forward", rows: rows), 256, Self.plainShared(options, tiles: width, rows: rows))
      case .hopper: preconditionFailure("Hopper's forward kernel takes lists of tiles")
      }
    kernel.launch(
      grid: (tiles, heads, 1), block: (threads, 1, 1), shared: shared,
      at.output, at.logSums, at.q, at.k, at.v, at.sinks, at.tiles, Int32(plan.outputWidth), Int32(plan.queryWidth), Int32(plan.keyWidth),
      Int32(plan.valueWidth), Int32(queries), Int32(keysOfOne), group, causal, window, options.scale, cap)
  }

  /// Attention over keys and values that each sequence keeps for itself: one launch a sequence.
  func cached(_ q: Tensor, _ keys: [Tensor], _ values: [Tensor], _ sinks: Tensor?) -> Tensor {
    let output = Tensor(uninitialized: [queries, plan.outputWidth], dtype, on: device)
    let logSums = Tensor(uninitialized: [heads, queries], part: .workspace, on: device)
    let logits = sinks?.cast(to: .float32, part: .workspace)
    let size = forwardKernels.queryTile
    for sequence in 0..<plan.layout.count {
      let (first, count) = (plan.layout.queryStarts[sequence], plan.queryCount(sequence))
      if count == 0 { continue }
      forward(
        ForwardPlaces(
          output: output.address + first * plan.outputWidth * dtype.size, logSums: logSums.address + first * heads * 4,
          q: q.address + first * plan.queryWidth * dtype.size, k: keys[sequence].address, v: values[sequence].address,
          sinks: logits?.address ?? .null, tiles: .null),
        tiles: (count + size - 1) / size, queries: count, keysOfOne: plan.keyCount(sequence))
    }
    // Memory is given back behind what was queued with its address.
    withExtendedLifetime((logits, logSums)) {}
    return output
  }
}

extension CUDAAttention {
  /// The same without the kernels that need lists of tiles.
  init(cached plan: AttentionPlan, like q: Tensor) {
    (self.plan, device, dtype) = (plan, q.device, q.dtype)
    forwardKernels = Self.general(plan.options, q.dtype, q.gpu)
    backwardKernels = forwardKernels
  }
}

extension AttentionKernels {
  /// Queries (and keys, in backward) of one block.
  var queryTile: Int {
    switch self {
    case .hopper: 128
    case .matrix: 64
    case .plain(let rows): 8 * rows
    }
  }
}
