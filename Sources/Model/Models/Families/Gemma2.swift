import SwiftletLayers

/// Gemma 2 (2024): norms before and after each branch with factor 1 + w, soft-capped scores and logits, windows on every other layer,
/// embeddings times √hidden, GeGLU.
enum Gemma2Family: ModelFamily {
  static let modelTypes = ["gemma2"]
  static let architectures = ["Gemma2ForCausalLM"]

  static func defaults() -> DecoderConfig.Defaults {
    .init(
      keyValueHeads: 4, headDimension: 256, maxPositions: 8192, isTied: true, activation: "gelu_pytorch_tanh",
      activationField: "hidden_activation")
  }

  static func parts(_ config: ModelConfig, _ decoder: DecoderConfig, _ scope: ParameterScope) throws -> CausalLM.Parts {
    let rotary = try config.rotary(decoder)
    let norm = rmsNorms(decoder, unitOffset: true)
    let windows = try config.layerWindows(layers: decoder.layers, window: 4096) { $0 % 2 == 0 }
    var shape = decoder.attention
    shape.scale = Float(1 / (try config.positive("query_pre_attn_scalar") ?? 256).squareRoot())
    shape.softCap = try config.cap("attn_logit_softcapping", missing: 50)
    shape.inputBias = try config.bool("attention_bias") ?? false
    shape.outputBias = shape.inputBias
    if try config.bool("use_bidirectional_attention") ?? false {
      throw config.error("use_bidirectional_attention", "false is wanted: a causal model cannot look ahead")
    }
    var parts = standardParts(
      decoder, scope, rotaries: [rotary], embeddingScale: Float(decoder.hiddenSize).squareRoot(), norm: norm
    ) { layer, scope in
      var windowed = shape
      windowed.window = windows[layer]
      return SandwichBlock(
        beforeAttention: norm(scope, "input_layernorm"),
        attention: Attention(windowed, layer: layer, rotary: rotary, scope["self_attn"]),
        afterAttention: norm(scope, "post_attention_layernorm"),
        beforeFeedForward: norm(scope, "pre_feedforward_layernorm"),
        feedForward: GatedMLP(
          hidden: decoder.hiddenSize, inner: decoder.intermediateSize, activation: decoder.activation, scope["mlp"]),
        afterFeedForward: norm(scope, "post_feedforward_layernorm"))
    }
    parts.softCap = try config.cap("final_logit_softcapping", missing: 30)
    return parts
  }
}

extension ModelConfig {
  /// A soft-cap: `missing` where the field is not there, none where it is null.
  func cap(_ field: String, missing: Float?) throws -> Float? {
    try positive(field).map { Float($0) } ?? (json[field] == nil ? missing : nil)
  }
}
