import SwiftletLayers

/// Qwen3 with mixtures of experts on all, every n-th, or all but some layers.
enum Qwen3MoEFamily: ModelFamily {
  static let modelTypes = ["qwen3_moe"]
  static let architectures = ["Qwen3MoeForCausalLM"]

  static func defaults() -> DecoderConfig.Defaults { .init(keyValueHeads: 4) }

  /// Which layers have experts, how many, how wide.
  private struct Sparsity {
    let experts, topK, inner, step: Int
    let normalizes: Bool
    let denseLayers: Set<Int>

    init(_ config: ModelConfig, _ decoder: DecoderConfig) throws {
      experts = try config.experts(["num_experts", "num_local_experts"], missing: 128, decoder)
      topK = try config.int("num_experts_per_tok", in: 1...experts) ?? min(8, experts)
      inner = try config.int("moe_intermediate_size", in: DecoderConfig.sizes) ?? 768
      step = try config.int("decoder_sparse_step", in: 1...(1 << 20)) ?? 1
      normalizes = try config.bool("norm_topk_prob") ?? false
      denseLayers = Set(try config.ints("mlp_only_layers", in: 0...(1 << 20)) ?? [])
    }

    func isSparse(_ layer: Int) -> Bool { !denseLayers.contains(layer) && (layer + 1) % step == 0 }
  }

  static func parts(_ config: ModelConfig, _ decoder: DecoderConfig, _ scope: ParameterScope) throws -> CausalLM.Parts {
    let rotary = try config.rotary(decoder)
    let norm = rmsNorms(decoder)
    let sparsity = try Sparsity(config, decoder)
    var shape = decoder.attention
    shape.inputBias = try config.bool("attention_bias") ?? false
    shape.outputBias = shape.inputBias
    shape.queryKeyNorm = .perHead
    shape.window = try config.bool("use_sliding_window") ?? false ? try config.window(4096) : nil
    return standardParts(decoder, scope, rotaries: [rotary], norm: norm) { layer, scope in
      preNormBlock(
        scope, norm: norm, attention: Attention(shape, layer: layer, rotary: rotary, scope["self_attn"]),
        feedForward: feedForward(sparsity, layer, decoder, scope["mlp"]))
    }
  }

  private static func feedForward(_ sparsity: Sparsity, _ layer: Int, _ decoder: DecoderConfig, _ scope: ParameterScope) -> any FeedForward
  {
    guard sparsity.isSparse(layer) else {
      return GatedMLP(hidden: decoder.hiddenSize, inner: decoder.intermediateSize, activation: decoder.activation, scope)
    }
    let router = scope.linear("gate", in: decoder.hiddenSize, out: sparsity.experts)
    let options = RouterOptions(topK: sparsity.topK, normalizes: sparsity.normalizes)
    return MixtureOfExperts(router: router, options, count: sparsity.experts) { expert in
      GatedMLP(hidden: decoder.hiddenSize, inner: sparsity.inner, activation: decoder.activation, scope["experts"][expert])
    }
  }
}
