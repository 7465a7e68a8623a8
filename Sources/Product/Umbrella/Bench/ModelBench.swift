import Foundation
import SwiftletCPU
import SwiftletCUDA
import SwiftletCheckpoints
import SwiftletInference
import SwiftletLayers
import SwiftletModels
import SwiftletOptimizers
import SwiftletTensorCore
import SwiftletTrainers
import SwiftletTracking

/// Speed and memory of a whole model with random weights: what training and generation reach on this machine.
public struct ModelBench: Sendable {
  /// Sizes of a measurement.
  public struct Options: Sendable {
    /// Sequences at once.
    public var batch: Int
    /// Tokens of each sequence in training, of each prompt in generation.
    public var length: Int
    /// Steps, or tokens generated for each sequence.
    public var steps: Int
    /// Whether every weight is trained, instead of LoRA on all linear layers.
    public var isFull = false
    /// Rank of that LoRA; alpha is twice as much.
    public var rank = 16
    /// Steps before those that are measured.
    public var warmUp = 2
    /// What is given up for memory.
    public var memory = MemoryOptions()
    /// Who computes the gradients of attention on a GPU.
    public var attention = AttentionOption.own
    /// Which optimizer.
    public var optimizer = OptimizerChoice.adamW(learningRate: 1e-4)
    /// Where the model lies and computes.
    public var device = Device.cpu
    /// Precision of the base weights.
    public var weights = WeightPrecision.stored
    /// Most bytes of tensors on a GPU; nil for all it has.
    public var memoryCap: Int?
    /// Whether one more training step is profiled on a GPU.
    public var profiles = false

    /// Gives up a little speed for the least memory.
    public mutating func makeLean() {
      memory.checkpoint = .everyBlock
      memory.offload = .host
      memory.embedding = .host
      memory.head = .nf4
      memory.tileRows = max(256, min(2048, batch * length / 4))
      optimizer = .pagedAdamW8bit(optimizer.options)
    }

    /// A measurement of `batch` sequences.
    public init(batch: Int, length: Int, steps: Int) {
      self.batch = batch
      self.length = length
      self.steps = steps
    }
  }

  /// What a measurement found.
  public struct Result: Sendable {
    /// `train`, `prefill` or `decode`.
    public let kind: String
    /// Parameters of the model.
    public let parameters: Int
    /// Tokens per second.
    public let tokensPerSecond: Double
    /// The most memory that tensors took at once, in bytes.
    public let peakBytes: Int
    /// The most memory of the whole process since its start, in bytes.
    public let peakResidentBytes: Int

    /// Seconds of the median step, or of the whole reading or writing.
    public let seconds: Double
    /// Bytes of each part at the moment of the peak; empty on the CPU.
    public let peakParts: [(part: String, bytes: Int)]
    /// What the memory plan says the peak is; nil where nothing was planned.
    public let plannedBytes: Int?
    /// Seconds from the start of the process to the end of the first step; nil where there was none or the system does not say.
    public let secondsToFirstStep: Double?
    /// Where the time of one more step went; nil unless asked for.
    public let profile: CUDAProfile?

    /// The line as people read it.
    public var text: String {
      var line =
        "\(kind)  \(Text.short(Double(parameters))) parameters  \(Text.fixed(tokensPerSecond, 1)) tok/s  \(Text.fixed(seconds, 4)) s  "
        + "peak \(Text.bytes(peakBytes)) tensors, \(Text.bytes(peakResidentBytes)) host process"
      if !peakParts.isEmpty { line += "\n  " + peakParts.map { "\($0.part) \(Text.bytes($0.bytes))" }.joined(separator: "  ") }
      if let plannedBytes { line += "\n  planned peak \(Text.bytes(plannedBytes))" }
      if let secondsToFirstStep { line += "\n  process start to first finished step \(Text.fixed(secondsToFirstStep, 2)) s" }
      if let profile { line += "\n\n" + profile.markdown() + "\n" }
      return line
    }

    /// The line as `--json` prints it.
    public var json: JSON {
      var object = JSONObject([
        ("kind", .string(kind)), ("parameters", .int(parameters)), ("tokens_per_second", .number(tokensPerSecond)),
        ("seconds", .number(seconds)), ("peak_bytes", .int(peakBytes)), ("peak_resident_bytes", .int(peakResidentBytes)),
        ("peak_parts", .object(JSONObject(peakParts.map { ($0.part, .int($0.bytes)) }))),
      ])
      if let plannedBytes { object["planned_peak_bytes"] = .int(plannedBytes) }
      if let secondsToFirstStep { object["seconds_to_first_step"] = .number(secondsToFirstStep) }
      if let profile {
        object["profile"] = .array(
          profile.lines.map { line in
            .object(
              JSONObject([
                ("name", .string(line.name)), ("calls", .int(line.calls)), ("ms", .number(line.milliseconds)),
                ("flops", .number(line.flops)),
              ]))
          })
        object["profiled_wall_ms"] = .number(profile.wallMilliseconds)
        object["profiled_gpu_ms"] = .number(profile.spanMilliseconds)
      }
      return .object(object)
    }
  }

  private let model: CausalLM
  private let options: Options

  /// Makes the model of a `config.json` (or of the folder that holds one) with random weights; on a GPU they are drawn there.
  /// - Throws: where the config cannot be read or describes no known model, or the device cannot be used.
  public init(config path: String, _ options: Options) throws {
    let file = path.hasSuffix(".json") ? path : path + "/config.json"
    guard let data = FileManager.default.contents(atPath: file) else {
      throw Failure("no config", at: file, why: "MODELSPEC is a config.json or a folder that holds one", fix: "check the path")
    }
    guard options.weights != .dynamic4bit else {
      throw Failure(
        "nothing to measure", at: "--weights dynamic4bit",
        why: "it chooses layers by what 4 bits do to a model's answers, and a MODELSPEC has random weights",
        fix: "take --weights nf4, whose speed is the same but for the layers that stay in 16 bits")
    }
    try options.device.check()
    var placement = options.memory.applied(to: options.weights.placement(on: options.device))
    placement.drawsOnDevice = options.device.isCUDA
    if options.device.isCUDA { options.device.gpu.memory.cap = options.memoryCap }
    model = try ModelRegistry.make(
      config: ModelConfig(parsing: String(decoding: data, as: UTF8.self), file: file), source: .random(seed: 1), placement: placement)
    if let format = options.weights.format, !options.device.isCUDA {
      for parameter in model.parameters where parameter.shape.rank > 1 { parameter.value = parameter.value.converted(to: format.dtype) }
    }
    self.options = options
    try checkDevice()
  }

  private func checkDevice() throws {
    if options.device.isCUDA { try options.device.gpu.check() }
  }

  private var parameters: Int { model.parameters.reduce(0) { $0 + $1.shape.count } }

  private func ids(_ count: Int, from first: Int = 0) -> [Int32] {
    let random = Random(seed: 2)
    return (first..<first + count).map { Int32(random.word(UInt64($0)) % UInt32(model.vocabularySize)) }
  }

  private func resetPeak() {
    HostMemory.resetPeak()
    if options.device.isCUDA { options.device.gpu.memory.resetPeak() }
  }

  private func result(
    _ kind: String, tokens: Int, seconds: Double, planned: Int? = nil, firstStep: Double? = nil, profile: CUDAProfile? = nil
  ) -> Result {
    let gpu = options.device.isCUDA ? options.device.gpu.memory : nil
    let parts = gpu.map { memory in MemoryPart.allCases.map { (part: "\($0)", bytes: memory.peakParts[$0] ?? 0) } } ?? []
    return Result(
      kind: kind, parameters: parameters, tokensPerSecond: Double(tokens) / seconds, peakBytes: gpu?.peakBytes ?? HostMemory.peakBytes,
      peakResidentBytes: ProcessMemory.peakResidentBytes, seconds: seconds, peakParts: parts, plannedBytes: planned,
      secondsToFirstStep: firstStep, profile: profile)
  }

  /// `steps` steps of supervised fine-tuning as `train` does them, after two that warm up; the rate is that of the median step. Every row is a
  /// whole sequence of random tokens, all of them trained.
  public func train(_ note: (String) -> Void = { _ in }) throws -> Result {
    if options.isFull {
      try model.makeAllTrainable()
    } else {
      try model.add(LoRA(rank: options.rank, alpha: Double(2 * options.rank)))
    }
    let warmUp = options.warmUp
    var recipe = Recipe()
    recipe.plan.batchSize = options.batch
    recipe.plan.accumulation = 1
    recipe.plan.attention = options.attention
    let profiled = options.profiles && options.device.isCUDA ? 1 : 0
    let steps = options.steps + warmUp + profiled
    recipe.plan.steps = steps
    recipe.data.shuffle = false
    recipe.memory = options.memory
    recipe.memory.tokensAtOnce = options.batch * options.length
    recipe.optimizer = options.optimizer
    let rows = (0..<options.batch * steps).map { row in
      let ids = ids(options.length, from: row * options.length)
      return TokenRow(ids: ids, labels: ids)
    }
    let trainer = try SFTTrainer(model, on: rows, recipe: recipe)
    let planned = try options.device.isCUDA ? trainer.memoryPlan(on: PlannedGPU(options.device.gpu)) : nil
    // On a GPU the peak is that of the whole process, the making of the model included, as the plan has it.
    HostMemory.resetPeak()
    var times: [Double] = []
    let clock = ContinuousClock()
    var firstStep: Double?
    while times.count < options.steps + warmUp {
      let start = clock.now
      guard let metrics = try trainer.step() else { break }
      try checkDevice()
      times.append((clock.now - start).seconds)
      firstStep = firstStep ?? ProcessAge.seconds
      note("step \(metrics.step)  loss \(Text.fixed(metrics.loss, 4))  \(Text.fixed(times[times.count - 1], 4)) s")
    }
    let median = times.dropFirst(warmUp).sorted()[options.steps / 2]
    let profile = try profiled == 0 ? nil : options.device.gpu.profile { _ = try trainer.step() }
    try checkDevice()
    return result(
      "train", tokens: options.batch * options.length, seconds: median, planned: planned?.peakBytes, firstStep: firstStep, profile: profile)
  }

  /// Greedy generation for `batch` prompts at once: the prompts' rate, then that of the generated tokens.
  public func decode() -> [Result] {
    let engine = Engine(model: model)
    resetPeak()
    let prompt = ids(options.length)
    for _ in 0..<options.batch {
      engine.add(GenerationRequest(prompt: prompt, maximumTokens: options.steps + 1, sampling: .greedy))
    }
    let clock = ContinuousClock()
    var generated = 0
    let reading = clock.measure { while generated < options.batch { generated += engine.step().count } }
    let before = generated
    let writing = clock.measure { while engine.hasWork { generated += engine.step().count } }
    return [
      result("prefill", tokens: options.batch * options.length, seconds: reading.seconds),
      result("decode", tokens: generated - before, seconds: writing.seconds),
    ]
  }
}
