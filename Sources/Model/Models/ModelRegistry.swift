import SwiftletCPU
import SwiftletFormats
import SwiftletLayers
import SwiftletOps
import SwiftletTensorCore

/// The known model families.
public enum ModelRegistry {
  /// Every family. A new one is one file and one entry here.
  static var families: [any ModelFamily.Type] {
    [
      LlamaFamily.self, MistralFamily.self, Qwen2Family.self, Qwen3Family.self, Gemma2Family.self, Phi3Family.self, MixtralFamily.self,
      Qwen3MoEFamily.self, GraniteFamily.self, OLMo2Family.self, Gemma3Family.self, Cohere2Family.self, GLM4Family.self,
      GptOssFamily.self, DeepSeekV3Family.self,
    ]
  }

  /// The `model_type`s that can be made.
  public static var knownModelTypes: [String] { families.flatMap { $0.modelTypes }.sorted() }

  /// Makes the model that `config` describes, by its `model_type` or, without one, its `architectures`.
  /// - Throws: `ConfigError` for an unknown architecture (naming the known ones) or a field that makes no sense.
  public static func make(config: ModelConfig, source: ParameterSource, placement: Placement = Placement()) throws -> CausalLM {
    let family = try family(of: config)
    let decoder = try family.decoder(config)
    if case .random = source, !placement.drawsOnDevice { try checkMemory(try shapes(config: config)) }
    try checkHeads(config, decoder, placement.device)
    let builder = ModelBuilder(source, placement: placement)
    var scope = builder.root
    scope.standardDeviation = decoder.initializerRange
    let parts = try family.parts(config, decoder, scope)
    return CausalLM(config: config, decoder: decoder, parts: parts, modules: builder.modules, placement: placement)
  }

  /// Checks the config and makes the model without any numbers: what the planner runs on. Allocates nothing of the model's size.
  public static func shapes(config: ModelConfig) throws -> CausalLM { try make(config: config, source: .shapes) }

  private static func checkHeads(_ config: ModelConfig, _ decoder: DecoderConfig, _ device: Device) throws {
    guard !AttentionOptions(heads: 1, keyValueHeads: 1, headDimension: decoder.headDimension, scale: 1).fits(device) else { return }
    throw config.error(
      "head_dim", "attention heads of \(decoder.headDimension) features are too wide for the kernels of this GPU: use --device cpu")
  }

  /// How checkpoints of this config's family hold its experts.
  /// - Throws: as `make`, for an unknown architecture.
  package static func expertLayout(of config: ModelConfig) throws -> ExpertLayout { try family(of: config).expertLayout }

  /// Random weights are allocated at once, so a config that no machine can hold is refused before.
  private static func checkMemory(_ model: CausalLM) throws {
    let bytes = model.parameters.reduce(0.0) { $0 + 4 * $1.shape.dimensions.reduce(1.0) { $0 * Double($1) } }
    let limit = ProcessMemory.totalBytes
    guard bytes <= Double(limit) else {
      throw model.config.error("", "the weights need \(Int(bytes / 1e9)) GB in float32, the machine has \(limit / 1_000_000_000) GB")
    }
  }

  private static func family(of config: ModelConfig) throws -> any ModelFamily.Type {
    let known = "known: " + knownModelTypes.joined(separator: ", ")
    if let type = try config.string("model_type") {
      guard let family = families.first(where: { $0.modelTypes.contains(type) }) else {
        throw config.error("model_type", "unknown architecture \"\(type)\"; \(known)")
      }
      return family
    }
    guard let names = try config.strings("architectures"), !names.isEmpty else { throw config.error("model_type", "missing; \(known)") }
    guard let family = families.first(where: { !Set($0.architectures).isDisjoint(with: names) }) else {
      throw config.error("architectures", "unknown architecture \"\(names.joined(separator: ", "))\"; \(known)")
    }
    return family
  }
}
