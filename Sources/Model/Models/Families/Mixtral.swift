import SwiftletLayers

/// Mixtral (Jiang et al., 2024): Mistral whose MLP is a mixture of experts; the chosen experts' weights sum to 1.
enum MixtralFamily: ModelFamily {
  static let modelTypes = ["mixtral"]
  static let architectures = ["MixtralForCausalLM"]

  static func defaults() -> DecoderConfig.Defaults {
    .init(keyValueHeads: 8, epsilon: 1e-5, theta: 1_000_000, maxPositions: 131_072)
  }

  static func parts(_ config: ModelConfig, _ decoder: DecoderConfig, _ scope: ParameterScope) throws -> CausalLM.Parts {
    let rotary = try config.rotary(decoder)
    let norm = rmsNorms(decoder)
    var shape = decoder.attention
    shape.window = try config.window()
    let experts = try config.experts(["num_local_experts", "num_experts"], missing: 8, decoder)
    let topK = try config.int("num_experts_per_tok", in: 1...experts) ?? 2
    return standardParts(decoder, scope, rotaries: [rotary], norm: norm) { layer, scope in
      let moe = scope["block_sparse_moe"]
      return preNormBlock(
        scope, norm: norm, attention: Attention(shape, layer: layer, rotary: rotary, scope["self_attn"]),
        feedForward: MixtureOfExperts(
          router: moe.linear("gate", in: decoder.hiddenSize, out: experts), RouterOptions(topK: topK, normalizes: true), count: experts
        ) { expert in
          GatedMLP(
            hidden: decoder.hiddenSize, inner: decoder.intermediateSize, activation: decoder.activation, names: .numbered,
            moe["experts"][expert])
        })
    }
  }
}

extension ModelConfig {
  /// The number of experts under the first of `fields` that is there.
  func experts(_ fields: [String], missing: Int, _ decoder: DecoderConfig) throws -> Int {
    for field in fields {
      guard let count = try int(field, in: 1...8192) else { continue }
      guard count * decoder.layers <= 1 << 17 else {
        throw error(field, "at most 131072 experts in all layers are wanted, found \(count) a layer")
      }
      return count
    }
    return missing
  }
}
