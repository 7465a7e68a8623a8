import SwiftletLayers

/// Command R7B (Cohere, 2024): both branches from one layer norm; three of four layers have a window and rotary positions (neighbouring
/// pairs), the fourth sees everything and uses no positions; scaled logits.
enum Cohere2Family: ModelFamily {
  static let modelTypes = ["cohere2"]
  static let architectures = ["Cohere2ForCausalLM"]

  static func defaults() -> DecoderConfig.Defaults {
    .init(epsilon: 1e-5, maxPositions: 8192, isTied: true, epsilonField: "layer_norm_eps")
  }

  static func parts(_ config: ModelConfig, _ decoder: DecoderConfig, _ scope: ParameterScope) throws -> CausalLM.Parts {
    let rotary = try config.rotary(decoder, interleaved: true)
    let norm: NormMaker = { scope, name in scope.layerNorm(name, decoder.hiddenSize, epsilon: decoder.epsilon) }
    let pattern = try config.int("sliding_window_pattern", in: 1...(1 << 20)) ?? 4
    let windows = try config.layerWindows(layers: decoder.layers, window: 4096) { ($0 + 1) % pattern != 0 }
    let bias = try config.bool("attention_bias") ?? false
    var parts = standardParts(decoder, scope, rotaries: [rotary], norm: norm) { layer, scope in
      var shape = decoder.attention
      (shape.inputBias, shape.outputBias) = (bias, bias)
      shape.window = windows[layer]
      return ParallelBlock(
        norm: norm(scope, "input_layernorm"),
        attention: Attention(shape, layer: layer, rotary: windows[layer] == nil ? nil : rotary, scope["self_attn"]),
        feedForward: GatedMLP(
          hidden: decoder.hiddenSize, inner: decoder.intermediateSize, activation: decoder.activation, scope["mlp"]))
    }
    parts.logitScale = Float(try config.positive("logit_scale") ?? 0.0625)
    return parts
  }
}
