import SwiftletLayers

/// Llama 1 to 3 (Touvron et al., 2023) and models of its shape.
enum LlamaFamily: ModelFamily {
  static let modelTypes = ["llama"]
  static let architectures = ["LlamaForCausalLM"]

  static func defaults() -> DecoderConfig.Defaults { .init(maxPositions: 2048) }

  static func parts(_ config: ModelConfig, _ decoder: DecoderConfig, _ scope: ParameterScope) throws -> CausalLM.Parts {
    let rotary = try config.rotary(decoder)
    let norm = rmsNorms(decoder)
    var shape = decoder.attention
    shape.inputBias = try config.bool("attention_bias") ?? false
    shape.outputBias = shape.inputBias
    let mlpBias = try config.bool("mlp_bias") ?? false
    return standardParts(decoder, scope, rotaries: [rotary], norm: norm) { layer, scope in
      preNormBlock(
        scope, norm: norm, attention: Attention(shape, layer: layer, rotary: rotary, scope["self_attn"]),
        feedForward: GatedMLP(
          hidden: decoder.hiddenSize, inner: decoder.intermediateSize, activation: decoder.activation, bias: mlpBias, scope["mlp"]))
    }
  }
}
