import SwiftletCPU
import SwiftletCUDA
import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore
import SwiftletTracking
import Synchronization

/// The GPU that a plan is made for.
public struct PlannedGPU: Hashable, Sendable {
  /// Major and minor number of the compute capability.
  public var capability: (major: Int, minor: Int) { (major, minor) }
  private let major: Int
  private let minor: Int
  /// Bytes that tensors may take.
  public let bytes: Int
  /// Multiprocessors.
  public let multiprocessors: Int

  /// A GPU that need not be there.
  public init(capability: (major: Int, minor: Int), bytes: Int, multiprocessors: Int = 132) {
    (major, minor) = capability
    self.bytes = bytes
    self.multiprocessors = multiprocessors
  }

  /// A GPU that is there, with the memory that is free on it now and that a cap leaves.
  public init(_ gpu: CUDADevice) {
    let free = gpu.availableMemory.free + gpu.memory.liveBytes
    self.init(capability: gpu.capability, bytes: min(free, gpu.memory.cap ?? .max), multiprocessors: gpu.multiprocessors)
  }
}

/// A training step on a GPU that is not there: the very code of a run, with allocations counted and nothing computed. What the plan says and
/// what the run takes are therefore the same number; on an H200 they were, to the byte (`Benchmarks/cuda/plan.py`).
struct SimulatedPlan {
  private static let nextOrdinal = Mutex(1000)

  /// Bytes of each part at the moment of the peak.
  let parts: [MemoryPart: Int]
  let peakBytes: Int
  /// Bytes of pinned host memory.
  let hostBytes: Int
  /// Blocks of the model.
  let blocks: Int
  /// What is no number of a run.
  let notes: [String]

  /// - Parameters:
  ///   - stored: the format to compute in where the recipe says `stored`.
  ///   - windows: rows of the steps to try, those that need most.
  ///   - make: makes the model, with what is to be trained trainable, at the place it is given.
  init(
    _ gpu: PlannedGPU, _ recipe: Recipe, stored: DType, windows: [[TokenRow]], make: (Placement) throws -> CausalLM
  ) throws {
    let ordinal = SimulatedPlan.nextOrdinal.withLock { next in
      defer { next += 1 }
      return next
    }
    let device = CUDADevice.simulated(
      capability: gpu.capability, memory: gpu.bytes, multiprocessors: gpu.multiprocessors, ordinal: ordinal)
    var placement = recipe.memory.applied(to: recipe.model.weights.placement(on: .cuda(ordinal), stored: stored))
    placement.drawsOnDevice = true
    let model = try make(placement)
    // Held for as long as the steps run: what 16 bits may add.
    let bound = try DynamicBound(model, recipe)
    let unknown = bound.map { Storage(byteCount: $0.onGPU, part: .weights, on: .cuda(ordinal)) }
    defer { withExtendedLifetime(unknown) {} }
    var steps = recipe
    steps.data.shuffle = false
    steps.plan.epochs = nil
    steps.plan.steps = windows.count + 1
    // The first window once more: what the first step leaves behind lies beside the second.
    let rows = (windows + windows.prefix(1)).flatMap { $0 }
    try steps.plan.apply(to: model.placement.device)
    let loop = TrainingLoop(model, rows: rows, heldOut: [], steps)
    while !loop.isDone { _ = try loop.step() }
    try device.check()
    parts = device.memory.peakParts
    peakBytes = device.memory.peakBytes
    hostBytes = PinnedMemory.peakBytes
    blocks = model.layerCount
    notes = bound.map { [$0.note] } ?? []
  }
}

extension MemoryPlan {
  /// A plan from a simulated run.
  init(_ simulated: SimulatedPlan, available: Int, tokens: Int) {
    self.init()
    weights = simulated.parts[.weights] ?? 0
    adapter = simulated.parts[.adapter] ?? 0
    gradients = simulated.parts[.gradients] ?? 0
    optimizer = simulated.parts[.optimizer] ?? 0
    activations = (simulated.parts[.activations] ?? 0) + (simulated.parts[.workspace] ?? 0)
    cache = simulated.parts[.cache] ?? 0
    host = simulated.hostBytes
    self.available = available
    self.tokens = tokens
  }

  /// The plan of a recipe on a GPU: the steps that need most are run on a simulated one.
  /// - Throws: where recipe, model or data cannot be used.
  public init(_ recipe: Recipe, on gpu: PlannedGPU, resolveModel: (String) throws -> String = { $0 }) throws {
    let source = try ModelSource(recipe, resolve: resolveModel)
    let rows: [TokenRow]
    if let path = recipe.data.path, Files.exists(path) {
      rows = try PreparedData(recipe, source, .init()).rows
    } else {
      let longest = try recipe.model.contextLength ?? min(source.contextLength(recipe), 2048)
      let ids = [Int32](repeating: 0, count: longest)
      rows = Array(repeating: TokenRow(ids: ids, labels: ids), count: recipe.plan.batchSize * recipe.plan.accumulation)
    }
    try self.init(recipe, on: gpu, stored: source.computeFormat(recipe), rows: rows) { try source.simulated(recipe, $0) }
  }

  /// The same for rows and a model at hand.
  init(
    _ recipe: Recipe, on gpu: PlannedGPU, stored: DType = .bfloat16, rows: [TokenRow], make: (Placement) throws -> CausalLM
  ) throws {
    let recipe = try recipe.settled(on: gpu, stored: stored, rows: rows, make: make)
    let windows = MemoryPlan.largestWindows(recipe, rows)
    let tokens =
      windows.first.map { window in
        let lengths = window.map(\.ids.count)
        return GradientWindow.groups(lengths: lengths, MemoryPlan.tokensAtOnce(recipe, rows)).map { $0.reduce(0) { $0 + lengths[$1] } }
          .max() ?? 0
      } ?? 0
    let simulated = try SimulatedPlan(gpu, recipe, stored: stored, windows: windows, make: make)
    self.init(simulated, available: gpu.bytes, tokens: tokens)
    notes = simulated.notes
    if fits { return }
    for (name, change) in MemoryPlan.savings(recipe) {
      let changed = try SimulatedPlan(gpu, change, stored: stored, windows: Array(windows.prefix(1)), make: make)
      if changed.peakBytes < peakBytes { advice.append("\(name) (saves \(Text.bytes(peakBytes - changed.peakBytes)))") }
    }
  }

  /// The steps' rows that need most, at most six: three by tokens of their largest group, trained ones counted twice, because activations grow
  /// with all and logits with those, and three by that of their largest group but the first, beside which gradients lie already.
  static func largestWindows(_ recipe: Recipe, _ rows: [TokenRow]) -> [[TokenRow]] {
    let plan = StepPlan(rows: rows.count, plan: recipe.plan, shuffle: recipe.data.shuffle)
    let order = RowOrder(plan)
    let lengths = rows.map(\.ids.count)
    let needs = rows.map { $0.ids.count + $0.trainedTokens }
    let atOnce = tokensAtOnce(recipe, rows)
    // A window has as many rows as the plan says, or the steps of the simulation would not begin where windows do.
    let windows = (0..<min(plan.totalSteps, 20_000)).map { order.rows(step: $0) }.filter { $0.count == min(plan.window, rows.count) }
    let largest = windows.map { window -> (any: Int, later: Int) in
      let groups = GradientWindow.groups(lengths: window.map { lengths[$0] }, atOnce).map { $0.reduce(0) { $0 + needs[window[$1]] } }
      return (groups.max() ?? 0, groups.dropFirst().max() ?? 0)
    }
    func first(by size: (Int) -> Int) -> [Int] { Array(windows.indices.sorted { (size($1), $0) < (size($0), $1) }.prefix(3)) }
    let chosen = first { largest[$0].any } + first { largest[$0].later }
    return chosen.enumerated().filter { !chosen[..<$0.offset].contains($0.element) }.map { windows[$0.element].map { rows[$0] } }
  }

  private static func tokensAtOnce(_ recipe: Recipe, _ rows: [TokenRow]) -> Int {
    recipe.memory.tokensAtOnce(longest: rows.reduce(1) { max($0, $1.ids.count) }, batchSize: recipe.plan.batchSize, isGPU: true)
  }

  private static func savings(_ recipe: Recipe) -> [(String, Recipe)] {
    var options: [(String, Recipe)] = []
    func add(_ name: String, _ change: (inout Recipe) -> Void) {
      var changed = recipe
      change(&changed)
      options.append((name, changed))
    }
    if recipe.memory.checkpoint == .none { add("memory.checkpoint: everyBlock") { $0.memory.checkpoint = .everyBlock } }
    if recipe.memory.offload == .none {
      add("memory: {checkpoint: everyBlock, offload: host}") {
        $0.memory.checkpoint = .everyBlock
        $0.memory.offload = .host
      }
    }
    if case .adamW = recipe.optimizer { add("optimizer: adamW8bit") { $0.optimizer = .adamW8bit($0.optimizer.options) } }
    if recipe.plan.batchSize > 1 {
      add("plan: {batchSize: 1, accumulation: \(recipe.plan.batchSize * recipe.plan.accumulation)}") {
        $0.plan.accumulation *= $0.plan.batchSize
        $0.plan.batchSize = 1
      }
    }
    if recipe.model.weights.quantization == nil, recipe.adapter != nil { add("model.weights: nf4") { $0.model.weights = .nf4 } }
    return options
  }
}
