import SwiftletLayers

/// Phi-3 and Phi-4 (Abdin et al., 2024): fused projections, LongRoPE, in Phi-4-mini only a part of each head turned.
enum Phi3Family: ModelFamily {
  static let modelTypes = ["phi3"]
  static let architectures = ["Phi3ForCausalLM"]

  static func defaults() -> DecoderConfig.Defaults { .init(epsilon: 1e-5, maxPositions: 4096) }

  static func parts(_ config: ModelConfig, _ decoder: DecoderConfig, _ scope: ParameterScope) throws -> CausalLM.Parts {
    let rotary = try config.rotary(decoder, renamed: ["su": "longrope", "yarn": "longrope"])
    let norm = rmsNorms(decoder)
    var shape = decoder.attention
    shape.isFused = true
    shape.window = try config.window()
    return standardParts(decoder, scope, rotaries: [rotary], norm: norm) { layer, scope in
      preNormBlock(
        scope, norm: norm, attention: Attention(shape, layer: layer, rotary: rotary, scope["self_attn"]),
        feedForward: GatedMLP(
          fusedHidden: decoder.hiddenSize, inner: decoder.intermediateSize, activation: decoder.activation, scope["mlp"]))
    }
  }
}
