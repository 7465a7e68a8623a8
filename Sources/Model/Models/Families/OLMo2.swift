import SwiftletLayers

/// OLMo 2 (Allen AI, 2024): norms only after each branch, and over all queries and all keys together.
enum OLMo2Family: ModelFamily {
  static let modelTypes = ["olmo2"]
  static let architectures = ["Olmo2ForCausalLM"]

  static func defaults() -> DecoderConfig.Defaults { .init(epsilon: 1e-5, maxPositions: 2048) }

  static func parts(_ config: ModelConfig, _ decoder: DecoderConfig, _ scope: ParameterScope) throws -> CausalLM.Parts {
    let rotary = try config.rotary(decoder)
    let norm = rmsNorms(decoder)
    var shape = decoder.attention
    shape.queryKeyNorm = .whole
    shape.inputBias = try config.bool("attention_bias") ?? false
    shape.outputBias = shape.inputBias
    return standardParts(decoder, scope, rotaries: [rotary], norm: norm) { layer, scope in
      SandwichBlock(
        beforeAttention: nil, attention: Attention(shape, layer: layer, rotary: rotary, scope["self_attn"]),
        afterAttention: norm(scope, "post_attention_layernorm"), beforeFeedForward: nil,
        feedForward: GatedMLP(
          hidden: decoder.hiddenSize, inner: decoder.intermediateSize, activation: decoder.activation, scope["mlp"]),
        afterFeedForward: norm(scope, "post_feedforward_layernorm"))
    }
  }
}
