import ArgumentParser
import Swiftlet

/// Sizes and choices of `bench --train` and `--decode`.
struct ModelBenchOptions: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("Sequences at once.", valueName: "n"))
  var batch: Int?

  @Option(name: .long, help: ArgumentHelp("Tokens of a sequence in training, of the prompt in generation.", valueName: "n"))
  var length = 512

  @Option(name: .long, help: ArgumentHelp("Steps, or tokens to generate.", valueName: "n"))
  var steps: Int?

  @Flag(name: .long, help: "Train every weight instead of an adapter.")
  var full = false

  @Option(name: .long, help: ArgumentHelp("Training steps before those that are measured.", valueName: "n"))
  var warmUp = 2

  @Option(name: .long, help: ArgumentHelp("Rank of the adapter.", valueName: "n"))
  var rank = 16

  @Option(
    name: .long,
    help: ArgumentHelp("What is computed again in backward: none, selective (what --cap asks for) or everyBlock.", valueName: "c"))
  var checkpoint = CheckpointOption.none

  @Option(name: .long, help: ArgumentHelp("Where kept block inputs lie: none (where they are) or host.", valueName: "o"))
  var offload = OffloadOption.none

  @Flag(
    name: .long,
    help:
      "On a GPU, memory first: blocks replayed from host memory, optimizer paged, token table on the host, head in 4 bits, MLP and projections in tiles."
  )
  var lean = false

  @Option(name: .long, help: ArgumentHelp("adamW, adamW8bit or pagedAdamW8bit.", valueName: "name"))
  var optimizer = "adamW"

  @Option(name: .long, help: ArgumentHelp("Most gigabytes (10⁹ bytes) of tensors on a GPU.", valueName: "gb"))
  var cap: Double?

  @Option(name: .long, help: ArgumentHelp("Precision of the weights: float32, float16, bfloat16, fp8, int8 or nf4.", valueName: "w"))
  var weights = WeightPrecision.stored

  @Option(name: .long, help: ArgumentHelp("Gradients of attention on a GPU: own kernels, or cudnn where it is faster.", valueName: "who"))
  var attention = AttentionOption.own

  @Flag(name: .long, help: "Print where the time of one more training step went on the GPU.")
  var profile = false

  func validate() throws {
    if !["adamW", "adamW8bit", "pagedAdamW8bit"].contains(optimizer) {
      throw ValidationError("--optimizer is \(optimizer), want adamW, adamW8bit or pagedAdamW8bit")
    }
    if let cap, !(cap > 0 && cap < 1e6) { throw ValidationError("--cap is \(cap), want gigabytes above 0") }
    for (name, value) in [("batch", batch ?? 1), ("length", length), ("steps", steps ?? 1)] where value < 1 {
      throw ValidationError("--\(name) is \(value), want 1 or more")
    }
  }

  /// The same for the measurement.
  func options(steps: Int, batch: Int, on device: Device) -> ModelBench.Options {
    var options = ModelBench.Options(batch: self.batch ?? batch, length: length, steps: self.steps ?? steps)
    options.isFull = full
    options.rank = rank
    options.warmUp = max(0, warmUp)
    options.memory.checkpoint = checkpoint
    options.memory.offload = offload
    options.attention = attention
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
    return options
  }
}

extension CheckpointOption: ExpressibleByArgument {}
extension OffloadOption: ExpressibleByArgument {}
extension AttentionOption: ExpressibleByArgument {}
