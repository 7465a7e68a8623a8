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

  /// A whole number in `range`; where there is one for each layer, they must be equal.
  private func int(_ key: String, in range: ClosedRange<Int>) throws -> Int? {
    guard let value = value(key) else { return nil }
    let wanted = "a whole number from \(range.lowerBound) to \(range.upperBound) is wanted"
    let number: Int
    if let array = value.array {
      guard array.count <= 1 << 16, let list = array.ints, let first = list.first, list.allSatisfy({ $0 == first }) else {
        throw error(key, "\(wanted), or a list with the same for every layer; found \(array.count) of kind \(array.kind)")
      }
      number = first
    } else {
      guard let int = value.int else { throw error(key, "\(wanted), found \(value.kind)") }
      number = int
    }
    guard range.contains(number) else { throw error(key, "\(wanted), found \(number)") }
    return number
  }

  private func needed(_ key: String, in range: ClosedRange<Int>) throws -> Int {
    guard let value = try int(key, in: range) else { throw error(key, "missing: a whole number is wanted") }
    return value
  }

  /// A positive number in the words of a config: 0.1 rather than the float's 0.10000000149.
  private func number(_ key: String, most: Double = 1e18) throws -> JSON? {
    guard let value = value(key) else { return nil }
    guard let number = value.double, number.isFinite, number > 0, number <= most else {
      throw error(key, "a number above 0 and at most \(most) is wanted, found \(value.double.map { "\($0)" } ?? "\(value.kind)")")
    }
    return .number(Double(Float(number).description) ?? number)
  }

  private func word(_ key: String) throws -> String? {
    guard let value = value(key) else { return nil }
    guard let text = value.string else { throw error(key, "text is wanted, found \(value.kind)") }
    return text
  }

  // What no model has, and what would overflow or trap further on.
  private enum Limits {
    static let heads = 1...4096
    static let width = 1...(1 << 17)
    static let inner = 1...(1 << 22)
    static let experts = 0...8192
    static let length = 1...(1 << 40)
  }

  private func config(_ family: GGUFArchitecture) throws -> JSONObject {
    var config = JSONObject([("model_type", .string(family.modelType))])
    let (hidden, heads) = (try needed("embedding_length", in: Limits.width), try needed("attention.head_count", in: Limits.heads))
    let keyValueHeads = try int("attention.head_count_kv", in: Limits.heads) ?? heads
    guard heads % keyValueHeads == 0 else {
      throw error("attention.head_count_kv", "a divisor of attention.head_count (\(heads)) is wanted, found \(keyValueHeads)")
    }
    guard let vocabulary = file.tensor("token_embd.weight")?.shape.first else {
      throw CheckpointError(file.path, "tensor \"token_embd.weight\" is missing")
    }
    let head = try int("attention.key_length", in: 1...8192) ?? hidden / heads
    guard head > 0, try int("attention.value_length", in: 1...8192) ?? head == head else {
      throw error("attention.value_length", "the width of a key (\(head)) is wanted")
    }
    let experts = try int("expert_count", in: Limits.experts)
    let used = try int("expert_used_count", in: Limits.experts)
    guard (used ?? 0) <= experts ?? 0, experts ?? 0 == 0 || used ?? 1 > 0 else {
      throw error("expert_used_count", "at most expert_count (\(experts ?? 0)), and at least 1 of them, is wanted, found \(used ?? 0)")
    }
    let sizes: [(String, Int?)] = [
      ("vocab_size", vocabulary), ("hidden_size", hidden), ("num_hidden_layers", try needed("block_count", in: 1...1024)),
      ("num_attention_heads", heads), ("num_key_value_heads", keyValueHeads), ("head_dim", head),
      ("intermediate_size", try int("feed_forward_length", in: Limits.inner) ?? int("expert_feed_forward_length", in: Limits.inner)),
      ("max_position_embeddings", try int("context_length", in: Limits.length)),
      // llama.cpp writes 0 for none.
      ("sliding_window", try int("attention.sliding_window", in: 0...(1 << 40)).flatMap { $0 == 0 ? nil : $0 }),
      ("bos_token_id", file["tokenizer.ggml.bos_token_id"]?.int), ("eos_token_id", file["tokenizer.ggml.eos_token_id"]?.int),
      ("num_experts", experts), ("num_experts_per_tok", used),
      ("moe_intermediate_size", try int("expert_feed_forward_length", in: Limits.inner)),
    ]
    for (key, size) in sizes { config[key] = size.map { .int($0) } }
    config["rms_norm_eps"] = try number("attention.layer_norm_rms_epsilon", most: 1)
    config["layer_norm_eps"] = try number("attention.layer_norm_epsilon", most: 1)
    config["rope_theta"] = try number("rope.freq_base")
    config["tie_word_embeddings"] = .bool(file.tensor("output.weight") == nil)
    config["attention_bias"] = .bool(file.tensor("blk.0.attn_q.bias") != nil)
    try addRotary(to: &config, head: head)
    try addFamily(family, to: &config, hidden: hidden, heads: heads, head: head)
    return config
  }

  private func addRotary(to config: inout JSONObject, head: Int) throws {
    let turned = try int("rope.dimension_count", in: 2...8192) ?? head
    guard turned <= head, turned % 2 == 0 else {
      throw error("rope.dimension_count", "an even number of at most \(head), the width of a head, is wanted, found \(turned)")
    }
    if turned != head { config["partial_rotary_factor"] = .number(Double(turned) / Double(head)) }
    let original = try int("rope.scaling.original_context_length", in: Limits.length)
    let attention = try number("rope.scaling.attn_factor")
    func factors(_ name: String) throws -> [Float]? { try self.factors(name, count: turned / 2) }
    if let long = try factors("rope_factors_long.weight"), let short = try factors("rope_factors_short.weight") {
      config["original_max_position_embeddings"] = original.map { .int($0) }
      config["rope_scaling"] = longRoPE(short: short, long: long, attention: attention)
    } else if let factors = try factors("rope_freqs.weight") {
      // Llama 3's stretch comes as the factors that it amounts to.
      config["rope_scaling"] = longRoPE(short: factors, long: factors, attention: .int(1))
    } else if let type = try word("rope.scaling.type"), type != "none" {
      guard ["linear", "yarn", "longrope"].contains(type) else {
        throw error("rope.scaling.type", "one of none, linear, yarn, longrope is wanted, found \"\(type.prefix(100))\"")
      }
      var scaling = JSONObject([("rope_type", .string(type))])
      scaling["factor"] = try number("rope.scaling.factor")
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
  private func factors(_ name: String, count: Int) throws -> [Float]? {
    guard let tensor = file.tensor(name) else { return nil }
    let wanted = "tensor \"\(name)\": \(count) numbers above 0 in F32, one for each pair of a head, are wanted"
    guard tensor.type == .f32, tensor.range.count == 4 * count else {
      throw CheckpointError(file.path, "\(wanted), found \(tensor.shape) of \(tensor.type)")
    }
    let bytes = file.bytes(of: tensor)
    let values = (0..<count).map {
      Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)))
    }
    if let bad = values.first(where: { !$0.isFinite || $0 <= 0 }) { throw CheckpointError(file.path, "\(wanted), found \(bad)") }
    return values
  }

  /// What only some families have.
  private func addFamily(_ family: GGUFArchitecture, to config: inout JSONObject, hidden: Int, heads: Int, head: Int) throws {
    switch family.modelType {
    case "gemma2", "gemma3_text":
      // As llama.cpp has it: the largest models alone do not scale by the head's width.
      let largest = family.modelType == "gemma2" ? 46 : 62
      let isLargest = config["num_hidden_layers"]?.int == largest && heads > 0
      config["query_pre_attn_scalar"] = .int(isLargest ? hidden / heads : head)
      config["attn_logit_softcapping"] = try number("attn_logit_softcapping") ?? .null
      config["final_logit_softcapping"] = try number("final_logit_softcapping") ?? .null
      config["rope_local_base_freq"] = .int(10_000)
    case "granite":
      config["attention_multiplier"] = try number("attention.scale")
      config["embedding_multiplier"] = try number("embedding_scale")
      config["residual_multiplier"] = try number("residual_scale")
      config["logits_scaling"] = try number("logit_scale")
    case "cohere2": config["logit_scale"] = try number("logit_scale")
    case "qwen3_moe": config["norm_topk_prob"] = .bool(true)
    default: break
    }
  }
}
