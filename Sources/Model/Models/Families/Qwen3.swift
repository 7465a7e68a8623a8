import SwiftletLayers

/// Qwen3: norms on each head's queries and keys, no bias, head width of its own.
enum Qwen3Family: ModelFamily {
  static let modelTypes = ["qwen3"]
  static let architectures = ["Qwen3ForCausalLM"]

  static func defaults() -> DecoderConfig.Defaults { .init(keyValueHeads: 32, headDimension: 128) }

  static func parts(_ config: ModelConfig, _ decoder: DecoderConfig, _ scope: ParameterScope) throws -> CausalLM.Parts {
    let rotary = try config.rotary(decoder)
    let norm = rmsNorms(decoder)
    let windows = try config.qwenWindows(decoder)
    let bias = try config.bool("attention_bias") ?? false
    return standardParts(decoder, scope, rotaries: [rotary], norm: norm) { layer, scope in
      var shape = decoder.attention
      (shape.inputBias, shape.outputBias) = (bias, bias)
      shape.queryKeyNorm = .perHead
      shape.window = windows[layer]
      return preNormBlock(
        scope, norm: norm, attention: Attention(shape, layer: layer, rotary: rotary, scope["self_attn"]),
        feedForward: GatedMLP(
          hidden: decoder.hiddenSize, inner: decoder.intermediateSize, activation: decoder.activation, scope["mlp"]))
    }
  }
}
