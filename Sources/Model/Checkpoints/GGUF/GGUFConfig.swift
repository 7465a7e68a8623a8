import SwiftletFormats
import SwiftletModels

/// The metadata of a GGUF file, told as a Hugging Face config.
struct GGUFConfig {
  private let file: GGUFFile
  private let architecture: String

  /// The family, and its config.
  static func read(_ file: GGUFFile) throws -> (GGUFArchitecture, JSONObject) {
    guard let name = file["general.architecture"]?.string else {
      throw CheckpointError(file.path, "key \"general.architecture\" is missing: a model is wanted")
    }
    let reader = GGUFConfig(file: file, architecture: name)
    let type = reader.modelType
    guard let found = GGUFArchitecture.all.first(where: { $0.name == name && (type == nil || $0.modelType == type) }) else {
      throw CheckpointError(file.path, "architecture \"\(name)\" is not known; known: \(GGUFArchitecture.known)")
    }
    return (found, try reader.config(found))
  }

  /// Which of the families that llama.cpp calls llama.
  private var modelType: String? {
    guard architecture == "llama" else { return nil }
    if (value("expert_count")?.int ?? 0) > 0 { return "mixtral" }
    return value("attention.sliding_window") == nil ? "llama" : "mistral"
  }

  private func value(_ key: String) -> GGUFValue? { file["\(architecture).\(key)"] }

  private func error(_ key: String, _ message: String) -> CheckpointError {
    CheckpointError(file.path, "key \"\(architecture).\(key)\": \(message)")
  }

  /// A whole number; where there is one for each layer, they must be equal.
  private func int(_ key: String) throws -> Int? {
    guard let value = value(key) else { return nil }
    if let list = value.array?.ints, let first = list.first {
      guard list.allSatisfy({ $0 == first }) else { throw error(key, "the same number for every layer is wanted") }
      return first
    }
    guard let int = value.int else { throw error(key, "a whole number is wanted, found \(value.kind)") }
    return int
  }

  private func needed(_ key: String) throws -> Int {
    guard let value = try int(key) else { throw error(key, "missing: a whole number is wanted") }
    return value
  }

  /// A number in the words of a config: 0.1 rather than the float's 0.10000000149.
  private func number(_ key: String) -> JSON? {
    guard let value = value(key)?.double, value.isFinite else { return nil }
    return .number(Double(Float(value).description) ?? value)
  }

  private func config(_ family: GGUFArchitecture) throws -> JSONObject {
    var config = JSONObject([("model_type", .string(family.modelType))])
    let (hidden, heads) = (try needed("embedding_length"), try needed("attention.head_count"))
    guard let vocabulary = file.tensor("token_embd.weight")?.shape.first else {
      throw CheckpointError(file.path, "tensor \"token_embd.weight\" is missing")
    }
    let head = try int("attention.key_length") ?? (heads > 0 ? hidden / heads : 0)
    let sizes: [(String, Int?)] = [
      ("vocab_size", vocabulary), ("hidden_size", hidden), ("num_hidden_layers", try needed("block_count")), ("num_attention_heads", heads),
      ("num_key_value_heads", try int("attention.head_count_kv") ?? heads), ("head_dim", head),
      ("intermediate_size", try int("feed_forward_length") ?? int("expert_feed_forward_length")),
      ("max_position_embeddings", try int("context_length")), ("sliding_window", try int("attention.sliding_window")),
      ("bos_token_id", file["tokenizer.ggml.bos_token_id"]?.int), ("eos_token_id", file["tokenizer.ggml.eos_token_id"]?.int),
      ("num_experts", try int("expert_count")), ("num_experts_per_tok", try int("expert_used_count")),
      ("moe_intermediate_size", try int("expert_feed_forward_length")),
    ]
    for (key, size) in sizes { config[key] = size.map { .int($0) } }
    config["rms_norm_eps"] = number("attention.layer_norm_rms_epsilon")
    config["layer_norm_eps"] = number("attention.layer_norm_epsilon")
    config["rope_theta"] = number("rope.freq_base")
    config["tie_word_embeddings"] = .bool(file.tensor("output.weight") == nil)
    config["attention_bias"] = .bool(file.tensor("blk.0.attn_q.bias") != nil)
    try addRotary(to: &config, head: head)
    addFamily(family, to: &config, hidden: hidden, heads: heads, head: head)
    return config
  }

  private func addRotary(to config: inout JSONObject, head: Int) throws {
    if let turned = try int("rope.dimension_count"), turned != head, head > 0 {
      config["partial_rotary_factor"] = .number(Double(turned) / Double(head))
    }
    let original = value("rope.scaling.original_context_length")?.int
    if let long = try factors("rope_factors_long.weight"), let short = try factors("rope_factors_short.weight") {
      config["original_max_position_embeddings"] = original.map { .int($0) }
      config["rope_scaling"] = longRoPE(short: short, long: long, attention: number("rope.scaling.attn_factor"))
    } else if let factors = try factors("rope_freqs.weight") {
      // Llama 3's stretch comes as the factors that it amounts to.
      config["rope_scaling"] = longRoPE(short: factors, long: factors, attention: .int(1))
    } else if let type = value("rope.scaling.type")?.string, type != "none" {
      var scaling = JSONObject([("rope_type", .string(type))])
      scaling["factor"] = number("rope.scaling.factor")
      scaling["original_max_position_embeddings"] = original.map { .int($0) }
      config["rope_scaling"] = .object(scaling)
    }
  }

  private func longRoPE(short: [Float], long: [Float], attention: JSON?) -> JSON {
    func list(_ values: [Float]) -> JSON { .array(values.map { .number(Double($0)) }) }
    var scaling = JSONObject([("rope_type", .string("longrope")), ("short_factor", list(short)), ("long_factor", list(long))])
    scaling["attention_factor"] = attention
    return .object(scaling)
  }

  /// The numbers of a small float32 tensor; nil where there is none.
  private func factors(_ name: String) throws -> [Float]? {
    guard let tensor = file.tensor(name) else { return nil }
    guard tensor.type == .f32, tensor.range.count <= 1 << 16 else {
      throw CheckpointError(file.path, "tensor \"\(name)\": at most 16384 numbers in F32 are wanted")
    }
    let bytes = file.bytes(of: tensor)
    return (0..<bytes.count / 4).map {
      Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)))
    }
  }

  /// What only some families have.
  private func addFamily(_ family: GGUFArchitecture, to config: inout JSONObject, hidden: Int, heads: Int, head: Int) {
    switch family.modelType {
    case "gemma2", "gemma3_text":
      // As llama.cpp has it: the largest models alone do not scale by the head's width.
      let largest = family.modelType == "gemma2" ? 46 : 62
      let isLargest = config["num_hidden_layers"]?.int == largest && heads > 0
      config["query_pre_attn_scalar"] = .int(isLargest ? hidden / heads : head)
      config["attn_logit_softcapping"] = number("attn_logit_softcapping") ?? .null
      config["final_logit_softcapping"] = number("final_logit_softcapping") ?? .null
      config["rope_local_base_freq"] = .int(10_000)
    case "granite":
      config["attention_multiplier"] = number("attention.scale")
      config["embedding_multiplier"] = number("embedding_scale")
      config["residual_multiplier"] = number("residual_scale")
      config["logits_scaling"] = number("logit_scale")
    case "cohere2": config["logit_scale"] = number("logit_scale")
    case "qwen3_moe": config["norm_topk_prob"] = .bool(true)
    default: break
    }
  }
}
