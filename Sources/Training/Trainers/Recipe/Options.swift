import SwiftletCheckpoints
import SwiftletExport
import SwiftletLayers
import SwiftletModels

/// Which model is trained.
public struct ModelOptions: Hashable, Sendable {
  /// A folder in Hugging Face layout.
  public var source: String?
  /// A `config.json` to start from random weights (drawn from `plan.seed`) instead of `source`.
  public var config: String?
  /// A folder with tokenizer files. Default: `source`, or the folder of `config`.
  public var tokenizer: String?
  /// Precision of the base weights in memory.
  public var weights = WeightPrecision.stored
  /// With `weights: dynamic4bit`, how layers are chosen.
  public var dynamic4bit = DynamicFourBitOptions()
  /// The longest row in tokens; longer ones are cut off. Default: what the model was made for.
  public var contextLength: Int?

  /// No model yet.
  public init() {}
}

/// Which linear layers stay in 16 bits where the others are NF4.
public struct DynamicFourBitOptions: Hashable, Sendable {
  /// Bytes that 16 bits may add, as a share of the plain 4-bit model's.
  public var budget = FourBitChoice.usualBudget
  /// A file of rows to measure on, in the layout of `data`: of each the first 256 tokens, 8,192 in all. Default: a text of its own.
  public var calibration: String?

  /// The defaults.
  public init() {}
}

/// Which adapter is trained: a new LoRA or one that exists.
public struct AdapterOptions: Hashable, Sendable {
  /// A new adapter.
  public var lora: LoRA? = LoRA()
  /// A folder with a PEFT adapter to go on from.
  public var start: String?

  /// A new LoRA with default settings.
  public init() {}
}

/// The form of the rows.
public enum DataLayoutOption: String, Hashable, Sendable, CaseIterable {
  case alpaca, sharegpt, chat, text, tokens
}

/// What is trained on.
public struct DataOptions: Hashable, Sendable {
  /// A file (JSONL, or JSON with an array of rows) or a folder of such; with layout `text` also documents of plain text (`.txt`, `.md`).
  public var path: String?
  /// The form of the rows.
  public var layout = DataLayoutOption.chat
  /// Another order each epoch, determined by `plan.seed`.
  public var shuffle = true
  /// Rows kept back for evaluation: a share below 1, or a number of rows.
  public var holdOut = 0.0
  /// A file or folder of rows for evaluation, in the same layout, instead of `holdOut`.
  public var evaluation: String?

  /// No data yet.
  public init() {}
}

/// Which tokens of a row are trained.
public enum TrainOnOption: String, Hashable, Sendable, CaseIterable {
  /// The assistant's turns with their stop tokens.
  case responses
  /// Every token.
  case all
}

/// Supervised fine-tuning.
public struct SFTOptions: Hashable, Sendable {
  /// Puts several rows into one of `contextLength` tokens (best fit), without attention from one to another.
  public var packing = false
  /// Which tokens are trained.
  public var trainOn = TrainOnOption.responses

  /// The defaults.
  public init() {}
}

/// How the model is taught.
public enum MethodOption: Hashable, Sendable {
  /// Supervised fine-tuning.
  case sft(SFTOptions)
}

/// Who computes the gradients of attention on a GPU.
public enum AttentionOption: String, Hashable, Sendable, CaseIterable {
  /// Our own kernels: the same bits every time.
  case own
  /// cuDNN where it is faster: causal sequences of one length, 8192 tokens or more. Two runs have not the same bits.
  case cudnn
}

/// How long and in which portions.
public struct PlanOptions: Hashable, Sendable {
  /// Passes over the data; nil where `steps` says it.
  public var epochs: Double? = 1
  /// Optimizer steps; nil where `epochs` says it.
  public var steps: Int?
  /// Rows of a batch.
  public var batchSize = 2
  /// Batches of a step. The loss is the mean over all tokens of the step: `8 × 1` and `1 × 8` are the same, to the bit.
  public var accumulation = 4
  /// Determines everything random: order of rows, new weights, dropout.
  public var seed = 3407
  /// Gradients are scaled down to this global norm; 0 for no limit.
  public var maxGradNorm = 1.0
  /// Who computes the gradients of attention on a GPU.
  public var attention = AttentionOption.own

  /// The defaults.
  public init() {}
}

/// Which blocks keep what backward needs.
public enum CheckpointOption: String, Hashable, Sendable, CaseIterable {
  case none, everyBlock
  /// As many as fit into `memory.budget` on a GPU; on the CPU none, as with `everyBlock`.
  case selective
}

/// Where kept block inputs lie. On the CPU both are the same memory.
public enum OffloadOption: String, Hashable, Sendable, CaseIterable {
  case none, host
}

/// What is given up for memory. None of it changes a bit of the result, but `tokensAtOnce` may.
public struct MemoryOptions: Hashable, Sendable {
  /// Which blocks are computed again in backward.
  public var checkpoint = CheckpointOption.none
  /// With `selective`, the peak in 10⁹ bytes that may be reached; 0 for what the GPU has free.
  public var budget = 0.0
  /// With `selective`, the blocks that are computed again, once that is known; nil for all. `Recipe.settled` finds it.
  package var replayedBlocks: Int?
  /// Where kept block inputs lie.
  public var offload = OffloadOption.none
  /// Where the frozen token table lies: `host` leaves it in host memory, from which a GPU gathers rows.
  public var embedding = OffloadOption.none
  /// Precision of the frozen language-model head on a GPU: `stored`, `int8`, `fp8` or `nf4`.
  public var head = WeightPrecision.stored
  /// Tokens of a replayed block that go through its wide parts together: on a GPU the middle of an MLP, four times as many the projections into
  /// attention; 0 for all. Fewer cost less memory and a little time.
  public var tileRows = 0
  /// Rows of a step go through the model together up to this many tokens; a longer row goes alone. 0 chooses: 1024 on the CPU, on a GPU
  /// `plan.batchSize` of the longest rows.
  public var tokensAtOnce = 0

  /// The defaults.
  public init() {}

  /// Which blocks are computed again.
  package var checkpointing: Checkpointing {
    switch checkpoint {
    case .none: .none
    case .everyBlock: .everyBlock
    case .selective: replayedBlocks.map { .first($0) } ?? .everyBlock
    }
  }

  /// `placement` with what is to be saved of the model's own memory.
  public func applied(to placement: Placement) -> Placement {
    guard placement.device.isCUDA else { return placement }
    var placement = placement
    placement.keepsEmbeddingOnHost = embedding == .host
    placement.headQuantization = head.quantization
    return placement
  }

  /// `tokensAtOnce` for rows of at most `longest` tokens, `batchSize` of which make a micro-batch.
  func tokensAtOnce(longest: Int, batchSize: Int, isGPU: Bool) -> Int {
    if tokensAtOnce > 0 { return tokensAtOnce }
    let (product, overflow) = longest.multipliedReportingOverflow(by: batchSize)
    return isGPU ? max(1, overflow ? longest : product) : 1024
  }
}

/// When held-out rows are evaluated.
public struct EvaluationOptions: Hashable, Sendable {
  /// Steps between evaluations; 0 for the end only.
  public var every = 0

  /// The defaults.
  public init() {}
}

/// What is kept of the run.
public struct SavingOptions: Hashable, Sendable {
  /// Steps between checkpoints; 0 for none but at an interruption and at the end.
  public var every = 100
  /// How many checkpoints stay.
  public var keep = 2
  /// Format of a fully trained model's weights in `final`.
  public var weights = WeightPrecision.stored
  /// What to export at the end, into the run's folder `export`; checked before the first step.
  public var export: [ModelExport.Format] = []

  /// The defaults.
  public init() {}
}
