import Foundation
import SwiftletFormats
import SwiftletModels
import SwiftletTensorCore

/// A Hugging Face config told as the metadata of a GGUF file; what llama.cpp computes otherwise is refused.
struct GGUFMetadata {
  let family: GGUFArchitecture
  /// Keys and values, the architecture first.
  private(set) var pairs: [(String, GGUFValue)] = []
  /// Factors of the rotary wavelengths, small tensors of their own.
  private(set) var factors: [(name: String, values: [Float])] = []
  private let config: ModelConfig
  private let decoder: DecoderConfig

  /// - Throws: `ConfigError` for what has no place in the format.
  init(_ config: ModelConfig, _ decoder: DecoderConfig) throws {
    let type = try config.string("model_type") ?? ""
    guard let family = GGUFArchitecture.all.first(where: { $0.modelType == type }) else {
      let known = GGUFArchitecture.all.map(\.modelType).sorted().joined(separator: ", ")
      throw config.error("model_type", "\"\(type)\" has no GGUF form here; known: \(known)")
    }
    (self.family, self.config, self.decoder) = (family, config, decoder)
    pairs = [("general.architecture", .string(family.name)), ("general.quantization_version", .uint32(2))]
    try addSizes()
    try addRotary()
    try addFamily()
  }

  private mutating func add(_ key: String, _ value: Int) { pairs.append(("\(family.name).\(key)", .uint32(UInt32(clamping: value)))) }
  private mutating func add(_ key: String, _ value: Double) { pairs.append(("\(family.name).\(key)", .float32(Float(value)))) }

  private mutating func addSizes() throws {
    add("block_count", decoder.layers)
    add("context_length", try context())
    add("embedding_length", decoder.hiddenSize)
    add("feed_forward_length", decoder.intermediateSize)
    add("attention.head_count", decoder.heads)
    add("attention.head_count_kv", decoder.keyValueHeads)
    add("attention.key_length", decoder.headDimension)
    add("attention.value_length", decoder.headDimension)
    add("vocab_size", decoder.vocabularySize)
    add(family.modelType == "cohere2" ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", Double(decoder.epsilon))
  }

  /// llama.cpp gives these families no window; within it the model is the same.
  private func context() throws -> Int {
    let window = try config.int("sliding_window", in: 1...(1 << 40))
    let slides = try config.bool("use_sliding_window") ?? ["mistral", "mixtral"].contains(family.modelType)
    guard let window, slides, ["mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe"].contains(family.modelType) else {
      return decoder.maxPositions
    }
    return min(decoder.maxPositions, window)
  }

  private mutating func addRotary() throws {
    let outer = try config.object("rope_scaling") ?? config.object("rope_parameters")
    let scaling = try outer?.object("full_attention") ?? outer
    let theta = try scaling?.positive("rope_theta") ?? config.positive("rope_theta") ?? defaultTheta
    add("rope.freq_base", theta)
    let part = try scaling?.positive("partial_rotary_factor") ?? config.positive("partial_rotary_factor")
    let turned = Int(Double(decoder.headDimension) * (part ?? (family.modelType == "glm4" ? 0.5 : 1)))
    add("rope.dimension_count", turned)
    guard let scaling else { return }
    let type = try scaling.string("rope_type") ?? scaling.string("type") ?? "default"
    let field = "original_max_position_embeddings"
    let original = try config.int(field, in: 1...(1 << 40)) ?? scaling.int(field, in: 1...(1 << 40)) ?? decoder.maxPositions
    switch type {
    case "default": return
    case "linear", "yarn":
      pairs.append(("\(family.name).rope.scaling.type", .string(type)))
      add("rope.scaling.factor", try scaling.positive("factor") ?? 1)
      if type == "yarn" { add("rope.scaling.original_context_length", original) }
    case "llama3": factors = [("rope_freqs.weight", try llama3(scaling, theta: theta, dimension: turned, original: original))]
    case "longrope", "su": try addLongRoPE(scaling, dimension: turned, original: original)
    default: throw config.error("rope_scaling", "\"\(type)\" has no GGUF form; default, linear, yarn, llama3 and longrope have")
    }
  }

  private var defaultTheta: Double { ["gemma3_text", "mixtral"].contains(family.modelType) ? 1_000_000 : 10_000 }

  /// What Llama 3 divides each frequency by.
  private func llama3(_ scaling: ModelConfig, theta: Double, dimension: Int, original: Int) throws -> [Float] {
    guard let factor = try scaling.positive("factor"), let low = try scaling.positive("low_freq_factor"),
      let high = try scaling.positive("high_freq_factor")
    else { throw config.error("rope_scaling", "factor, low_freq_factor and high_freq_factor are wanted") }
    return (0..<dimension / 2).map { i in
      let length = 2 * Double.pi * pow(theta, Double(2 * i) / Double(dimension))
      if length < Double(original) / high { return 1 }
      if length > Double(original) / low { return Float(factor) }
      let smooth = (Double(original) / length - low) / (high - low)
      return Float(1 / ((1 - smooth) / factor + smooth))
    }
  }

  private mutating func addLongRoPE(_ scaling: ModelConfig, dimension: Int, original: Int) throws {
    guard family.modelType == "phi3", let long = try scaling.positives("long_factor", count: dimension / 2),
      let short = try scaling.positives("short_factor", count: dimension / 2)
    else { throw config.error("rope_scaling", "longrope has a GGUF form for phi3 alone, with long_factor and short_factor") }
    let stretch = Double(decoder.maxPositions) / Double(original)
    let usual = stretch <= 1 || original < 2 ? 1 : (1 + log(stretch) / log(Double(original))).squareRoot()
    add("rope.scaling.original_context_length", original)
    add("rope.scaling.attn_factor", try scaling.positive("attention_factor") ?? usual)
    factors = [("rope_factors_long.weight", long.map { Float($0) }), ("rope_factors_short.weight", short.map { Float($0) })]
  }

  private mutating func addFamily() throws {
    let window = try config.int("sliding_window", in: 1...(1 << 40))
    switch family.modelType {
    case "mistral", "phi3":
      if let window { add("attention.sliding_window", window) }
    case "mixtral":
      add("expert_count", try config.int("num_local_experts", in: 1...8192) ?? 8)
      add("expert_used_count", try config.int("num_experts_per_tok", in: 1...8192) ?? 2)
      if let window { add("attention.sliding_window", window) }
    case "qwen3_moe": try addExperts()
    case "gemma2", "gemma3_text": try addGemma(window ?? 4096)
    case "cohere2":
      add("attention.sliding_window", window ?? 4096)
      add("logit_scale", try config.positive("logit_scale") ?? 0.0625)
    case "granite":
      add("attention.scale", try config.positive("attention_multiplier") ?? 1)
      add("embedding_scale", try config.positive("embedding_multiplier") ?? 1)
      add("residual_scale", try config.positive("residual_multiplier") ?? 1)
      add("logit_scale", try config.positive("logits_scaling") ?? 1)
    default: break
    }
  }

  private mutating func addExperts() throws {
    guard try config.bool("norm_topk_prob") ?? false else {
      throw config.error("norm_topk_prob", "true is wanted: llama.cpp scales the weights of the chosen experts to sum 1")
    }
    guard try config.int("decoder_sparse_step", in: 1...(1 << 20)) ?? 1 == 1,
      try config.ints("mlp_only_layers", in: 0...(1 << 20)) ?? [] == []
    else { throw config.error("decoder_sparse_step", "experts in every layer are wanted: llama.cpp knows no others") }
    add("expert_count", try config.int("num_experts", in: 1...8192) ?? config.int("num_local_experts", in: 1...8192) ?? 128)
    add("expert_used_count", try config.int("num_experts_per_tok", in: 1...8192) ?? 8)
    add("expert_feed_forward_length", try config.int("moe_intermediate_size", in: 1...(1 << 22)) ?? 768)
  }

  private mutating func addGemma(_ window: Int) throws {
    let isLargest = decoder.layers == (family.modelType == "gemma2" ? 46 : 62)
    let wanted = isLargest ? decoder.hiddenSize / decoder.heads : decoder.headDimension
    let scalar = try config.positive("query_pre_attn_scalar") ?? 256
    guard scalar == Double(wanted) else {
      throw config.error("query_pre_attn_scalar", "\(wanted) is wanted: GGUF has no key for it, found \(scalar)")
    }
    add("attention.sliding_window", window)
    if family.modelType == "gemma2" {
      add("attn_logit_softcapping", try config.positive("attn_logit_softcapping") ?? 50)
      add("final_logit_softcapping", try config.positive("final_logit_softcapping") ?? 30)
    }
  }
}
