import SwiftletLayers

/// Mistral (Jiang et al., 2023): Llama with a sliding window on every layer.
enum MistralFamily: ModelFamily {
  static let modelTypes = ["mistral"]
  static let architectures = ["MistralForCausalLM"]

  static func defaults() -> DecoderConfig.Defaults { .init(keyValueHeads: 8, maxPositions: 131_072) }

  static func parts(_ config: ModelConfig, _ decoder: DecoderConfig, _ scope: ParameterScope) throws -> CausalLM.Parts {
    let rotary = try config.rotary(decoder)
    let norm = rmsNorms(decoder)
    var shape = decoder.attention
    shape.window = try config.window(4096)
    return standardParts(decoder, scope, rotaries: [rotary], norm: norm) { layer, scope in
      preNormBlock(
        scope, norm: norm, attention: Attention(shape, layer: layer, rotary: rotary, scope["self_attn"]),
        feedForward: GatedMLP(
          hidden: decoder.hiddenSize, inner: decoder.intermediateSize, activation: decoder.activation, scope["mlp"]))
    }
  }
}
