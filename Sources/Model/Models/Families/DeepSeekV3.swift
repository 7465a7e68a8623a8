import Foundation
import SwiftletLayers
import SwiftletOps

/// DeepSeek-V3 and R1 (2024): multi-head latent attention; after some dense layers mixtures of experts, chosen group by group by sigmoid scores, and
/// shared experts that every token passes. Layers that predict further tokens are left out.
enum DeepSeekV3Family: ModelFamily {
  static let modelTypes = ["deepseek_v3"]
  static let architectures = ["DeepseekV3ForCausalLM"]

  // The heads' width is not in `head_dim`; a width here keeps the common reader from working it out.
  static func defaults() -> DecoderConfig.Defaults { .init(headDimension: 192, maxPositions: 4096) }

  static func decoder(_ config: ModelConfig) throws -> DecoderConfig {
    var decoder = try DecoderConfig(config, defaults())
    decoder.headDimension = try config.widths().query
    decoder.keyValueHeads = decoder.heads
    return decoder
  }

  static func parts(_ config: ModelConfig, _ decoder: DecoderConfig, _ scope: ParameterScope) throws -> CausalLM.Parts {
    let shape = try attention(config, decoder)
    let rotary = try config.rotary(
      decoder, interleaved: try config.bool("rope_interleave") ?? true, dimension: ("qk_rope_head_dim", shape.turned))
    guard rotary.dimension == shape.turned else {
      throw config.error(
        "partial_rotary_factor", "1 is wanted: qk_rope_head_dim says what turns; found \(rotary.dimension) of \(shape.turned)")
    }
    let norm = rmsNorms(decoder)
    let mixture = try Mixture(config, decoder)
    var parts = standardParts(decoder, scope, rotaries: [rotary], norm: norm) { layer, scope in
      preNormBlock(
        scope, norm: norm, attention: LatentAttention(shape, layer: layer, rotary: rotary, scope["self_attn"]),
        feedForward: mixture.feedForward(layer, decoder, scope["mlp"]))
    }
    let further = try config.int("num_nextn_predict_layers", in: 0...64) ?? 1
    parts.unused = (0..<further).map { "model.layers.\(decoder.layers + $0)." }
    return parts
  }

  private static func attention(_ config: ModelConfig, _ decoder: DecoderConfig) throws -> LatentAttentionShape {
    let ranks = 1...(1 << 17)
    let widths = try config.widths()
    var shape = LatentAttentionShape(
      hidden: decoder.hiddenSize, heads: decoder.heads, queryRank: try config.int("q_lora_rank", in: ranks),
      keyValueRank: try config.int("kv_lora_rank", in: ranks) ?? 512, plain: widths.plain, turned: widths.turned, value: widths.value)
    shape.bias = try config.bool("attention_bias") ?? false
    // The latents' norms have their own ε, 1e-6, whatever the config says of the others.
    shape.scale *= try config.latentScale(decoder)
    return shape
  }

  /// Which layers have experts, and how they are chosen.
  private struct Mixture {
    let firstLayer, experts, inner, shared: Int
    let options: RouterOptions

    init(_ config: ModelConfig, _ decoder: DecoderConfig) throws {
      firstLayer = try config.int("first_k_dense_replace", in: 0...(1 << 20)) ?? 3
      experts = try config.experts(["n_routed_experts"], missing: 256, decoder)
      inner = try config.int("moe_intermediate_size", in: DecoderConfig.sizes) ?? 2048
      shared = try config.int("n_shared_experts", in: 0...64) ?? 1
      for (field, wanted) in [("scoring_func", "sigmoid"), ("topk_method", "noaux_tc")] {
        if let found = try config.string(field), found != wanted {
          throw config.error(field, "\"\(wanted)\" is wanted, found \"\(found)\"")
        }
      }
      _ = try config.int("moe_layer_freq", in: 1...1)
      let topK = try config.int("num_experts_per_tok", in: 1...experts) ?? min(8, experts)
      var options = RouterOptions(topK: topK, normalizes: try config.bool("norm_topk_prob") ?? true)
      options.score = .sigmoid
      options.scale = Float(try config.positive("routed_scaling_factor") ?? 2.5)
      options.groups = try config.routerGroups(experts: experts, topK: topK)
      self.options = options
    }

    func feedForward(_ layer: Int, _ decoder: DecoderConfig, _ scope: ParameterScope) -> any FeedForward {
      func mlp(_ inner: Int, _ scope: ParameterScope) -> GatedMLP {
        GatedMLP(hidden: decoder.hiddenSize, inner: inner, activation: decoder.activation, scope)
      }
      guard layer >= firstLayer else { return mlp(decoder.intermediateSize, scope) }
      return MixtureOfExperts(
        router: scope.linear("gate", in: decoder.hiddenSize, out: experts, isAdaptable: false), options,
        correction: RouterCorrection(experts: experts, scope["gate"]), count: experts,
        shared: { shared == 0 ? nil : mlp(inner * shared, scope["shared_experts"]) }
      ) { mlp(inner, scope["experts"][$0]) }
    }
  }
}

extension ModelConfig {
  /// The widths of a head's parts.
  fileprivate func widths() throws -> (plain: Int, turned: Int, value: Int, query: Int) {
    let range = 1...4096
    let plain = try int("qk_nope_head_dim", in: range) ?? 128
    let turned = try int("qk_rope_head_dim", in: range) ?? 64
    return (plain, turned, try int("v_head_dim", in: range) ?? 128, plain + turned)
  }

  /// What stretched positions multiply the scores by: YaRN's factor for `mscale_all_dim`, twice.
  fileprivate func latentScale(_ decoder: DecoderConfig) throws -> Float {
    guard let scaling = try object("rope_scaling") ?? object("rope_parameters") else { return 1 }
    let type = try scaling.string("rope_type") ?? scaling.string("type") ?? "default"
    guard type != "default", let all = try scaling.number("mscale_all_dim", "a number from 0 to 1000", where: { $0 >= 0 && $0 <= 1000 }),
      all > 0
    else { return 1 }
    let factor = try scaling.positive("factor") ?? 1
    let multiplier = factor <= 1 ? 1 : 0.1 * all * log(factor) + 1
    return Float(multiplier * multiplier)
  }

  /// `n_group` and `topk_group`; nil where every expert may be chosen.
  fileprivate func routerGroups(experts: Int, topK: Int) throws -> RouterGroups? {
    let count = try int("n_group", in: 1...64) ?? (json["n_group"] == nil ? min(8, experts) : 1)
    guard experts % count == 0 else { throw error("n_group", "a divisor of n_routed_experts (\(experts)) is wanted, found \(count)") }
    let kept = try int("topk_group", in: 1...count) ?? (json["topk_group"] == nil ? min(4, count) : count)
    guard topK <= experts / count * kept else {
      throw error(
        "num_experts_per_tok", "at most \(experts / count * kept) is wanted (n_routed_experts / n_group · topk_group), found \(topK)")
    }
    return kept == count ? nil : RouterGroups(count: count, kept: kept)
  }
}
