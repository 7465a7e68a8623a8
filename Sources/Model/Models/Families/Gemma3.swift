import SwiftletLayers

/// Gemma 3, text only (2025): Gemma 2 with norms of queries and keys instead of capped scores; five of six layers have a window and rotary
/// positions of their own base.
enum Gemma3Family: ModelFamily {
  static let modelTypes = ["gemma3_text"]
  static let architectures = ["Gemma3ForCausalLM"]

  static func defaults() -> DecoderConfig.Defaults {
    .init(
      keyValueHeads: 4, headDimension: 256, theta: 1_000_000, maxPositions: 131_072, isTied: true, activation: "gelu_pytorch_tanh",
      activationField: "hidden_activation")
  }

  static func parts(_ config: ModelConfig, _ decoder: DecoderConfig, _ scope: ParameterScope) throws -> CausalLM.Parts {
    let (wide, near) = (try config.rotary(decoder, layerType: "full_attention"), try nearRotary(config, decoder))
    let norm = rmsNorms(decoder, unitOffset: true)
    let pattern = try config.int("sliding_window_pattern", in: 1...(1 << 20)) ?? 6
    let windows = try config.layerWindows(layers: decoder.layers, window: 4096) { ($0 + 1) % pattern != 0 }
    var shape = decoder.attention
    shape.scale = Float(1 / (try config.positive("query_pre_attn_scalar") ?? 256).squareRoot())
    shape.inputBias = try config.bool("attention_bias") ?? false
    shape.outputBias = shape.inputBias
    shape.queryKeyNorm = .perHead
    shape.unitOffset = true
    if try config.bool("use_bidirectional_attention") ?? false {
      throw config.error("use_bidirectional_attention", "false is wanted: a causal model cannot look ahead")
    }
    var parts = standardParts(
      decoder, scope, rotaries: [wide, near], embeddingScale: Float(decoder.hiddenSize).squareRoot(), norm: norm
    ) { layer, scope in
      var windowed = shape
      windowed.window = windows[layer]
      return SandwichBlock(
        beforeAttention: norm(scope, "input_layernorm"),
        attention: Attention(windowed, layer: layer, rotary: windows[layer] == nil ? wide : near, scope["self_attn"]),
        afterAttention: norm(scope, "post_attention_layernorm"), beforeFeedForward: norm(scope, "pre_feedforward_layernorm"),
        feedForward: GatedMLP(
          hidden: decoder.hiddenSize, inner: decoder.intermediateSize, activation: decoder.activation, scope["mlp"]),
        afterFeedForward: norm(scope, "post_feedforward_layernorm"))
    }
    parts.softCap = try config.cap("final_logit_softcapping", missing: nil)
    return parts
  }

  /// The turn of layers with a window: never stretched, unless transformers 5 wrote parameters for them.
  private static func nearRotary(_ config: ModelConfig, _ decoder: DecoderConfig) throws -> Rotary {
    if try config.object("rope_parameters")?.has("sliding_attention") == true {
      return try config.rotary(decoder, layerType: "sliding_attention")
    }
    let theta = try config.positive("rope_local_base_freq") ?? 10_000
    guard theta > 1 else { throw config.error("rope_local_base_freq", "a number over 1 is wanted, found \(theta)") }
    return Rotary(dimension: decoder.headDimension, theta: theta)
  }
}
