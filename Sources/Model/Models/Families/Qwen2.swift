import SwiftletLayers

/// Qwen2 and Qwen2.5: bias on q, k and v; where asked for, windows on the later layers.
enum Qwen2Family: ModelFamily {
  static let modelTypes = ["qwen2"]
  static let architectures = ["Qwen2ForCausalLM"]

  static func defaults() -> DecoderConfig.Defaults { .init(keyValueHeads: 32) }

  static func parts(_ config: ModelConfig, _ decoder: DecoderConfig, _ scope: ParameterScope) throws -> CausalLM.Parts {
    let rotary = try config.rotary(decoder)
    let norm = rmsNorms(decoder)
    let windows = try config.qwenWindows(decoder)
    return standardParts(decoder, scope, rotaries: [rotary], norm: norm) { layer, scope in
      var shape = decoder.attention
      shape.inputBias = true
      shape.window = windows[layer]
      return preNormBlock(
        scope, norm: norm, attention: Attention(shape, layer: layer, rotary: rotary, scope["self_attn"]),
        feedForward: GatedMLP(
          hidden: decoder.hiddenSize, inner: decoder.intermediateSize, activation: decoder.activation, scope["mlp"]))
    }
  }
}

extension ModelConfig {
  /// The window of each layer of Qwen2 and Qwen3: none unless `use_sliding_window`; then by `layer_types` or from `max_window_layers` on.
  func qwenWindows(_ decoder: DecoderConfig) throws -> [Int?] {
    guard try bool("use_sliding_window") ?? false else { return Array(repeating: nil, count: decoder.layers) }
    let first = try int("max_window_layers", in: 0...(1 << 20)) ?? 28
    return try layerWindows(layers: decoder.layers, window: 4096) { $0 >= first }
  }
}
