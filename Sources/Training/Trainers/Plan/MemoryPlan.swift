import SwiftletCPU
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore
import SwiftletTracking

/// Bytes that a run will need at its peak, part by part, worked out from shapes before anything is allocated.
public struct MemoryPlan: Hashable, Sendable, CustomStringConvertible {
  /// Base weights, as they lie in memory.
  public var weights = 0
  /// Trained adapters and whole trained copies.
  public var adapter = 0
  /// Gradients at the moment of the peak.
  public var gradients = 0
  /// Moments.
  public var optimizer = 0
  /// What backward needs, with the largest temporaries.
  public var activations = 0
  /// Keys and values of generation; none in supervised training.
  public var cache = 0
  /// The program itself, its data, and blocks kept for reuse.
  public var reserve = 0
  /// Pinned host memory beside a GPU's; not part of the peak.
  public var host = 0
  /// Memory that the machine can give.
  public var available = 0
  /// Tokens of the largest pass through the model.
  public var tokens = 0
  /// What to change where it does not fit, best first; empty where it fits.
  public var advice: [String] = []
  /// What the plan does not know to the byte, and why.
  public var notes: [String] = []

  /// Nothing yet.
  init() {}

  /// Sum of all parts.
  public var peakBytes: Int { weights + adapter + gradients + optimizer + activations + cache + reserve }
  /// Whether the machine has that much.
  public var fits: Bool { peakBytes <= available }

  private var parts: [(String, Int)] {
    [
      ("weights", weights), ("adapter", adapter), ("gradients", gradients), ("optimizer", optimizer), ("activations", activations),
      ("cache", cache), ("reserve", reserve),
    ]
  }

  /// `{"peak_bytes":N,"parts":{…},"fits":true,"available_bytes":N,"tokens":N,"advice":[…],"notes":[…]}`.
  public var json: JSON {
    .object(
      JSONObject([
        ("peak_bytes", .int(peakBytes)), ("parts", .object(JSONObject(parts.map { ($0.0, .int($0.1)) }))), ("fits", .bool(fits)),
        ("available_bytes", .int(available)), ("host_bytes", .int(host)), ("tokens", .int(tokens)),
        ("advice", .array(advice.map { .string($0) })), ("notes", .array(notes.map { .string($0) })),
      ]))
  }

  /// A table with one line a part.
  public var description: String {
    var lines = parts.map { name, bytes in name + String(repeating: " ", count: 14 - name.count) + Text.bytes(bytes) }
    lines.append("peak          " + Text.bytes(peakBytes) + " of " + Text.bytes(available) + (fits ? "  fits" : "  does not fit"))
    if host > 0 { lines.append("beside it, pinned host memory " + Text.bytes(host)) }
    lines.append("(largest pass: \(Text.grouped(tokens)) tokens)")
    return (lines + notes.map { "note: " + $0 } + advice.map { "try: " + $0 }).joined(separator: "\n")
  }
}

extension MemoryPlan {
  /// The plan of a recipe: the model from shapes only, the largest pass from the rows where they can be read.
  /// - Parameter resolveModel: turns `model.source` into a folder.
  /// - Throws: where recipe or model cannot be used.
  public init(_ recipe: Recipe, resolveModel: (String) throws -> String = { $0 }) throws {
    let source = try ModelSource(recipe, resolve: resolveModel)
    let model = try source.shapes(recipe)
    let rows = recipe.plan.batchSize * recipe.plan.accumulation
    let pass: (tokens: Int, passes: Int)
    if let path = recipe.data.path, Files.exists(path) {
      pass = try PreparedData(recipe, source, Run()).largestPass(recipe, isGPU: false)
    } else {
      let longest = try recipe.model.contextLength ?? min(source.contextLength(recipe), 2048)
      let limit = recipe.memory.tokensAtOnce(longest: longest, batchSize: recipe.plan.batchSize, isGPU: false)
      pass = (max(longest, min(limit, longest * rows)), rows)
    }
    let bound = try DynamicBound(model, recipe)
    self.init(
      model, recipe, tokens: pass.tokens, passes: pass.passes, unknown: bound?.kept ?? 0, bytes: try source.storedBytes(recipe))
    notes = bound.map { [$0.note] } ?? []
  }

  /// The plan of a model (with its adapter, if any) under a recipe. The model may be made of shapes only.
  /// - Parameters:
  ///   - tokens: of the largest pass.
  ///   - passes: the most passes that a step needs.
  ///   - unknown: bytes of weights that stand in none of them.
  ///   - bytes: of a frozen parameter in memory; asked where the parameter has no value.
  package init(_ model: CausalLM, _ recipe: Recipe, tokens: Int, passes: Int, unknown: Int = 0, bytes: (Parameter) -> Int) {
    self.tokens = tokens
    let copies = Set(model.savedModules)
    adapter = 4 * model.adapterParameters.reduce(0) { $0 + $1.shape.count }
    for module in model.modules {
      if copies.contains(module.path) { adapter += 4 * module.parameters.reduce(0) { $0 + $1.shape.count } }
    }
    weights = model.parameters.reduce(unknown) { total, parameter in
      total + (parameter.isTrainable ? 4 * parameter.shape.count : parameter.byteCount ?? bytes(parameter))
    }
    // Copies that are trained whole stand in the list of parameters in the place of what they replace, which stays beside them.
    optimizer = model.trainableParameters.reduce(0) { $0 + recipe.optimizer.stateBytes(count: $1.shape.count) }
    let peak = ActivationPlan(model).peak(
      tokens: tokens, checkpointing: recipe.memory.checkpoint != .none, allGradients: passes > 1)
    (activations, gradients) = (peak.activations, peak.gradients)
    reserve = 96 << 20
    available = ProcessMemory.availableBytes
    if !fits { advise(model, recipe, passes) }
  }

  private mutating func advise(_ model: CausalLM, _ recipe: Recipe, _ passes: Int) {
    if recipe.memory.checkpoint == .none {
      let peak = ActivationPlan(model).peak(tokens: tokens, checkpointing: true, allGradients: passes > 1)
      advice.append("memory.checkpoint: everyBlock (saves \(Text.bytes(max(0, activations - peak.activations))))")
    }
    if case .adamW = recipe.optimizer { advice.append("optimizer: adamW8bit (saves \(Text.bytes(optimizer * 3 / 4)))") }
    if recipe.adapter == nil { advice.append("adapter: {lora: {rank: 16}} (saves about \(Text.bytes(optimizer + gradients)))") }
    if tokens > 256 {
      advice.append("model.contextLength: \(tokens / 2) and memory.tokensAtOnce as much (saves about \(Text.bytes(activations / 2)))")
    }
  }
}
