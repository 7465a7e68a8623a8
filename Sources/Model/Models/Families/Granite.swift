import SwiftletLayers

/// Granite 3 (IBM, 2024): Llama with constants on embeddings, scores, branches and logits.
enum GraniteFamily: ModelFamily {
  static let modelTypes = ["granite"]
  static let architectures = ["GraniteForCausalLM"]

  static func defaults() -> DecoderConfig.Defaults { .init(maxPositions: 2048) }

  static func parts(_ config: ModelConfig, _ decoder: DecoderConfig, _ scope: ParameterScope) throws -> CausalLM.Parts {
    let rotary = try config.rotary(decoder)
    let norm = rmsNorms(decoder)
    var shape = decoder.attention
    shape.scale = Float(try config.positive("attention_multiplier") ?? 1)
    shape.inputBias = try config.bool("attention_bias") ?? false
    shape.outputBias = shape.inputBias
    let mlpBias = try config.bool("mlp_bias") ?? false
    let residualScale = Float(try config.positive("residual_multiplier") ?? 1)
    var parts = standardParts(
      decoder, scope, rotaries: [rotary], embeddingScale: Float(try config.positive("embedding_multiplier") ?? 1), norm: norm
    ) { layer, scope in
      preNormBlock(
        scope, norm: norm, attention: Attention(shape, layer: layer, rotary: rotary, scope["self_attn"]), residualScale: residualScale,
        feedForward: GatedMLP(
          hidden: decoder.hiddenSize, inner: decoder.intermediateSize, activation: decoder.activation, bias: mlpBias, scope["mlp"]))
    }
    parts.logitScale = Float(1 / (try config.positive("logits_scaling") ?? 1))
    return parts
  }
}
