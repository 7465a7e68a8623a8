import Foundation
import SwiftletCPU
import SwiftletInference
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore
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
    /// Whether every weight is trained, instead of LoRA of rank 16 on all linear layers.
    public var isFull = false
    /// Whether each block is computed again in backward.
    public var checkpoints = false

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

    /// The line as people read it.
    public var text: String {
      "\(kind)  \(Text.short(Double(parameters))) parameters  \(Text.fixed(tokensPerSecond, 1)) tok/s  peak \(Text.bytes(peakBytes)) tensors, "
        + "\(Text.bytes(peakResidentBytes)) process"
    }

    /// The line as `--json` prints it.
    public var json: JSON {
      .object(
        JSONObject([
          ("kind", .string(kind)), ("parameters", .int(parameters)), ("tokens_per_second", .number(tokensPerSecond)),
          ("peak_bytes", .int(peakBytes)), ("peak_resident_bytes", .int(peakResidentBytes)),
        ]))
    }
  }

  private let model: CausalLM
  private let options: Options

  /// Makes the model of a `config.json` (or of the folder that holds one) with random weights.
  /// - Throws: where the config cannot be read or describes no known model.
  public init(config path: String, weights: WeightFormat? = nil, _ options: Options) throws {
    let file = path.hasSuffix(".json") ? path : path + "/config.json"
    guard let data = FileManager.default.contents(atPath: file) else {
      throw Failure("no config", at: file, why: "MODELSPEC is a config.json or a folder that holds one", fix: "check the path")
    }
    model = try ModelRegistry.make(
      config: ModelConfig(parsing: String(decoding: data, as: UTF8.self), file: file), source: .random(seed: 1))
    if let weights {
      for parameter in model.parameters where parameter.shape.rank > 1 { parameter.value = parameter.value.converted(to: weights.dtype) }
    }
    self.options = options
  }

  private var parameters: Int { model.parameters.reduce(0) { $0 + $1.shape.count } }

  private func ids(_ count: Int) -> [Int32] {
    let random = Random(seed: 2)
    return (0..<count).map { Int32(random.word(UInt64($0)) % UInt32(model.vocabularySize)) }
  }

  private func result(_ kind: String, _ rate: Double) -> Result {
    Result(
      kind: kind, parameters: parameters, tokensPerSecond: rate, peakBytes: HostMemory.peakBytes,
      peakResidentBytes: ProcessMemory.peakResidentBytes)
  }

  /// Forward, backward and AdamW over `steps` batches after one that warms up; the rate is that of the median step.
  public func train() throws -> Result {
    if options.isFull { model.makeAllTrainable() } else { try model.add(LoRA()) }
    let trained = model.trainableParameters
    let moments = trained.map { ($0, Tensor(zeros: $0.shape, part: .optimizer), Tensor(zeros: $0.shape, part: .optimizer)) }
    let tokens = options.batch * options.length
    let (ids, lengths) = (ids(tokens), Array(repeating: options.length, count: options.batch))
    let targets = shiftedTargets(labels: ids, lengths: lengths)
    var times: [Double] = []
    HostMemory.resetPeak()
    for step in 1...options.steps + 1 {
      let time = ContinuousClock().measure {
        let tape = Tape()
        let context = ForwardContext(lengths: lengths, tape: tape, checkpointing: options.checkpoints ? .everyBlock : .none)
        let (sum, count) = model.loss(ids: ids, targets: targets, context)
        tape.backward(from: sum, seed: Tensor([1 / Float(count)], [1]))
        for (parameter, m, v) in moments {
          guard let gradient = parameter.gradient else { continue }
          parameter.update { AdamW.update(parameter: $0, gradient: gradient, m: m, v: v, step: step, learningRate: 1e-4) }
        }
        model.clearGradients()
      }
      times.append(time.seconds)
    }
    let median = times.dropFirst().sorted()[(times.count - 1) / 2]
    return result("train", Double(tokens) / median)
  }

  /// Greedy generation for `batch` prompts at once: the prompts' rate, then that of the generated tokens.
  public func decode() -> [Result] {
    let engine = Engine(model: model)
    HostMemory.resetPeak()
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
      result("prefill", Double(options.batch * options.length) / reading.seconds),
      result("decode", Double(generated - before) / writing.seconds),
    ]
  }
}
