import ArgumentParser
import Swiftlet

/// `swiftlet bench`: how fast this machine is.
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure operations, training and generation.",
    discussion: """
      MODELSPEC is a config.json; the weights are random.

      EXAMPLES:
        swiftlet bench
        swiftlet bench matmul attention
        swiftlet bench --device cuda
        swiftlet bench --train config.json --batch 4 --length 512
        swiftlet bench --decode config.json
        swiftlet bench --train llama-3-8b.json --device cuda --weights nf4 --rank 64 --batch 4 --length 2048 --checkpoint everyBlock \\
          --optimizer adamW8bit --profile
      """)

  @Argument(help: ArgumentHelp("Operations; all where none is named.", valueName: "op"))
  var operations: [String] = []

  @Option(name: .long, help: ArgumentHelp("Measure LoRA training of this model.", valueName: "modelspec"))
  var train: String?

  @Option(name: .long, help: ArgumentHelp("Measure generation with this model.", valueName: "modelspec"))
  var decode: String?

  @Option(name: .long, help: ArgumentHelp("Sequences at once.", valueName: "n"))
  var batch: Int?

  @Option(name: .long, help: ArgumentHelp("Tokens of a sequence in training, of the prompt in generation.", valueName: "n"))
  var length = 512

  @Option(name: .long, help: ArgumentHelp("Steps, or tokens to generate.", valueName: "n"))
  var steps: Int?

  @Flag(name: .long, help: "Train every weight instead of an adapter.")
  var full = false

  @Option(name: .long, help: ArgumentHelp("Rank of the adapter.", valueName: "n"))
  var rank = 16

  @Option(name: .long, help: ArgumentHelp("What is computed again in backward: none or everyBlock.", valueName: "c"))
  var checkpoint = CheckpointOption.none

  @Option(name: .long, help: ArgumentHelp("Where kept block inputs lie: none (where they are) or host.", valueName: "o"))
  var offload = OffloadOption.none

  @Flag(
    name: .long,
    help:
      "On a GPU, memory first: blocks replayed from host memory, optimizer paged, token table on the host, head in 4 bits, MLP in tiles.")
  var lean = false

  @Option(name: .long, help: ArgumentHelp("adamW, adamW8bit or pagedAdamW8bit.", valueName: "name"))
  var optimizer = "adamW"

  @Option(name: .long, help: ArgumentHelp("Most gigabytes (10⁹ bytes) of tensors on a GPU.", valueName: "gb"))
  var cap: Double?

  @Option(name: .long, help: ArgumentHelp("Precision of the weights: float32, float16, bfloat16, fp8, int8 or nf4.", valueName: "w"))
  var weights = WeightPrecision.stored

  @Flag(name: .long, help: "Print where the time of one more training step went on the GPU.")
  var profile = false

  @Flag(name: .long, help: "Walk through everything on an H200 that is not there: memory is counted, times mean nothing.")
  var simulated = false

  @OptionGroup var global: GlobalOptions

  func validate() throws {
    let known = unique(OpBench.all.map(\.name) + GPUOpBench.all.map(\.name))
    for name in operations where !known.contains(name) {
      throw ValidationError("no operation \(name) is measured, want one of \(known.joined(separator: ", "))")
    }
    if !["adamW", "adamW8bit", "pagedAdamW8bit"].contains(optimizer) {
      throw ValidationError("--optimizer is \(optimizer), want adamW, adamW8bit or pagedAdamW8bit")
    }
    for (name, value) in [("batch", batch ?? 1), ("length", length), ("steps", steps ?? 1)] where value < 1 {
      throw ValidationError("--\(name) is \(value), want 1 or more")
    }
  }

  private func unique(_ names: [String]) -> [String] {
    names.enumerated().filter { names.firstIndex(of: $0.element) == $0.offset }.map(\.element)
  }

  /// Where to measure.
  private var device: Device {
    if !simulated { return global.chosenDevice }
    return Device.simulated(capability: (9, 0), memory: 141_000_000_000)
  }

  func run() throws {
    if !simulated { try global.begin() }
    if let train { try measure(train, steps: 5, batch: 4) { [try $0.train { global.note($0) }] } }
    if let decode { try measure(decode, steps: 64, batch: 1) { $0.decode() } }
    if train == nil && decode == nil || !operations.isEmpty { try measureOperations(on: device) }
  }

  private func measure(_ config: String, steps: Int, batch: Int, _ body: (ModelBench) throws -> [ModelBench.Result]) throws {
    var options = ModelBench.Options(batch: self.batch ?? batch, length: length, steps: self.steps ?? steps)
    options.isFull = full
    options.rank = rank
    options.memory.checkpoint = checkpoint
    options.memory.offload = offload
    options.device = device
    options.profiles = profile
    options.weights = weights
    options.memoryCap = cap.map { Int($0 * 1e9) }
    switch optimizer {
    case "adamW": options.optimizer = .adamW(learningRate: 1e-4)
    case "adamW8bit": options.optimizer = .adamW8bit(learningRate: 1e-4)
    default: options.optimizer = .pagedAdamW8bit(.init(learningRate: 1e-4))
    }
    if lean { options.makeLean() }
    for result in try body(try ModelBench(config: config, options)) {
      Terminal.line(global.json ? result.json.serialized() : result.text)
    }
  }

  private func measureOperations(on device: Device) throws {
    if device.isCUDA { return try measureOperationsOnGPU(device) }
    for operation in OpBench.all where operations.isEmpty || operations.contains(operation.name) {
      let result = operation.run()
      Terminal.line(global.json ? result.json.serialized() : result.text)
    }
  }

  private func measureOperationsOnGPU(_ device: Device) throws {
    try device.check()
    let ceiling = try GPUCeiling(on: device)
    Terminal.line(global.json ? ceiling.json.serialized() : ceiling.text + "\n\n" + GPUOpBench.Result.head)
    for operation in GPUOpBench.all where operations.isEmpty || operations.contains(operation.name) {
      let result = try operation.run(on: device, ceiling: ceiling)
      Terminal.line(global.json ? result.json.serialized() : result.text)
    }
  }
}

extension CheckpointOption: ExpressibleByArgument {}
extension OffloadOption: ExpressibleByArgument {}
