import SwiftletLayers

/// How the files of a family hold the experts of a layer. In memory they are always linear layers of their own.
public enum ExpertLayout: Sendable {
  /// `experts.3.gate_proj.weight` [inner, hidden] and so on.
  case separate
  /// gpt-oss's: `experts.gate_up_proj` [experts, hidden, 2 · inner] with gate and up in turn, `experts.down_proj` [experts, inner, hidden], their
  /// biases; or both weights in MXFP4 as `…_blocks` and `…_scales`.
  case interleaved
}

/// One architecture: reads its config and makes its parts. One file each in `Families`.
public protocol ModelFamily {
  /// The `model_type`s that this family makes.
  static var modelTypes: [String] { get }
  /// The names in `architectures` that it makes, for configs without a `model_type`.
  static var architectures: [String] { get }
  /// What a missing field means.
  static func defaults() -> DecoderConfig.Defaults
  /// The sizes that all decoders have.
  /// - Throws: `ConfigError` naming file and field.
  static func decoder(_ config: ModelConfig) throws -> DecoderConfig
  /// How checkpoints hold experts.
  static var expertLayout: ExpertLayout { get }
  /// Makes the parts in `scope`.
  /// - Throws: `ConfigError` naming file and field.
  static func parts(_ config: ModelConfig, _ decoder: DecoderConfig, _ scope: ParameterScope) throws -> CausalLM.Parts
}

extension ModelFamily {
  /// Nothing unusual.
  public static func defaults() -> DecoderConfig.Defaults { DecoderConfig.Defaults() }
  /// As the fields say.
  public static func decoder(_ config: ModelConfig) throws -> DecoderConfig { try DecoderConfig(config, defaults()) }
  /// One by one.
  public static var expertLayout: ExpertLayout { .separate }

  /// The frame that nearly all families share: `model.embed_tokens`, `model.layers.N`, `model.norm`, `lm_head`.
  static func standardParts(
    _ decoder: DecoderConfig, _ scope: ParameterScope, rotaries: [Rotary], embeddingScale: Float = 1, norm: NormMaker,
    block: (Int, ParameterScope) throws -> any DecoderBlock
  ) rethrows -> CausalLM.Parts {
    let model = scope["model"]
    let embedding = model.embedding(
      "embed_tokens", count: decoder.vocabularySize, dimension: decoder.hiddenSize, scale: embeddingScale, isTied: decoder.isTied)
    let blocks = try (0..<decoder.layers).map { try block($0, model["layers"][$0]) }
    let final = norm(model, "norm")
    let head =
      decoder.isTied
      ? scope.tiedLinear("lm_head", weight: embedding.weight)
      : scope.linear("lm_head", in: decoder.hiddenSize, out: decoder.vocabularySize)
    return CausalLM.Parts(embedding: embedding, blocks: blocks, norm: final, head: head, rotaries: rotaries)
  }

  /// Makes root mean square norms of the stream's width.
  static func rmsNorms(_ decoder: DecoderConfig, unitOffset: Bool = false) -> NormMaker {
    { scope, name in scope.rmsNorm(name, decoder.hiddenSize, epsilon: decoder.epsilon, unitOffset: unitOffset) }
  }

  /// Llama's block: norms `input_layernorm` and `post_attention_layernorm`, `self_attn`, and a feed-forward part.
  static func preNormBlock(
    _ scope: ParameterScope, norm: NormMaker, attention: any SelfAttention, residualScale: Float = 1, feedForward: any FeedForward
  ) -> PreNormBlock {
    PreNormBlock(
      attentionNorm: norm(scope, "input_layernorm"), attention: attention, feedForwardNorm: norm(scope, "post_attention_layernorm"),
      feedForward: feedForward, residualScale: residualScale)
  }
}

/// Makes a norm called `name` in a scope.
typealias NormMaker = (_ scope: ParameterScope, _ name: String) -> any Norm
