import SwiftletLayers

/// GLM-4 (Zhipu, 2024/25): norms before and after each branch, half of each head turned in neighbouring pairs, fused MLP.
enum GLM4Family: ModelFamily {
  static let modelTypes = ["glm4"]
  static let architectures = ["Glm4ForCausalLM"]

  static func defaults() -> DecoderConfig.Defaults {
    .init(keyValueHeads: 2, headDimension: 128, epsilon: 1.5625e-7, maxPositions: 131_072)
  }

  static func parts(_ config: ModelConfig, _ decoder: DecoderConfig, _ scope: ParameterScope) throws -> CausalLM.Parts {
    let rotary = try config.rotary(decoder, part: 0.5, interleaved: true)
    let norm = rmsNorms(decoder)
    var shape = decoder.attention
    shape.inputBias = try config.bool("attention_bias") ?? true
    return standardParts(decoder, scope, rotaries: [rotary], norm: norm) { layer, scope in
      SandwichBlock(
        beforeAttention: norm(scope, "input_layernorm"), attention: Attention(shape, layer: layer, rotary: rotary, scope["self_attn"]),
        afterAttention: norm(scope, "post_self_attn_layernorm"), beforeFeedForward: norm(scope, "post_attention_layernorm"),
        feedForward: GatedMLP(
          fusedHidden: decoder.hiddenSize, inner: decoder.intermediateSize, activation: decoder.activation, scope["mlp"]),
        afterFeedForward: norm(scope, "post_mlp_layernorm"))
    }
  }
}
