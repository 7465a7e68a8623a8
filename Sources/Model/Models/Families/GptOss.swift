import SwiftletFormats
import SwiftletLayers

/// gpt-oss (OpenAI, 2025): every other layer has a window, each head a learnt sink; all feed-forward parts are mixtures of experts with biases and
/// a clamped gate.
enum GptOssFamily: ModelFamily {
  static let modelTypes = ["gpt_oss"]
  static let architectures = ["GptOssForCausalLM"]
  static var expertLayout: ExpertLayout { .interleaved }

  static func defaults() -> DecoderConfig.Defaults {
    .init(keyValueHeads: 8, headDimension: 64, epsilon: 1e-5, theta: 150_000, maxPositions: 131_072)
  }

  static func parts(_ config: ModelConfig, _ decoder: DecoderConfig, _ scope: ParameterScope) throws -> CausalLM.Parts {
    let rotary = try withUsualScaling(config).rotary(decoder)
    let norm = rmsNorms(decoder)
    let windows = try config.layerWindows(layers: decoder.layers, window: 128) { $0 % 2 == 0 }
    let bias = try config.bool("attention_bias") ?? true
    let experts = try config.experts(["num_local_experts", "num_experts"], missing: 128, decoder)
    // A softmax over the chosen logits is one over all of them, scaled to sum 1 over the chosen.
    let options = RouterOptions(topK: try config.int("num_experts_per_tok", in: 1...experts) ?? min(4, experts), normalizes: true)
    let activation = Activation.clampedSwish(
      alpha: Float(try config.gateNumber("swiglu_alpha") ?? 1.702), limit: Float(try config.gateNumber("swiglu_limit") ?? 7))
    return standardParts(decoder, scope, rotaries: [rotary], norm: norm) { layer, scope in
      var shape = decoder.attention
      (shape.inputBias, shape.outputBias) = (bias, bias)
      shape.hasSinks = true
      shape.window = windows[layer]
      let attention = Attention(shape, layer: layer, rotary: rotary, scope["self_attn"])
      let mlp = scope["mlp"]
      let mixture = MixtureOfExperts(
        router: mlp.linear("router", in: decoder.hiddenSize, out: experts, bias: true, isAdaptable: false), options, count: experts
      ) { expert in
        GatedMLP(
          hidden: decoder.hiddenSize, inner: decoder.intermediateSize, activation: activation, bias: true, isAdaptable: false,
          mlp["experts"][expert])
      }
      return preNormBlock(scope, norm: norm, attention: attention, feedForward: mixture)
    }
  }

  /// The config with the scaling that a missing field means.
  private static func withUsualScaling(_ config: ModelConfig) -> ModelConfig {
    guard config.json["rope_scaling"] == nil, config.json["rope_parameters"] == nil else { return config }
    var json = config.json
    json["rope_scaling"] = .object(
      JSONObject([
        ("rope_type", .string("yarn")), ("factor", .number(32)), ("beta_fast", .number(32)), ("beta_slow", .number(1)),
        ("truncate", .bool(false)), ("original_max_position_embeddings", .int(4096)),
      ]))
    return ModelConfig(json, file: config.file)
  }
}

extension ModelConfig {
  /// A constant of the clamped gate; nil where missing.
  fileprivate func gateNumber(_ field: String) throws -> Double? {
    try number(field, "a number from 0.001 to 1e6") { $0 >= 1e-3 && $0 <= 1e6 }
  }
}
