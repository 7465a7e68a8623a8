import Foundation
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore

/// Configs of small models, one for each family.
enum TinyModels {
  static let sizes = """
    "vocab_size": 53, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "initializer_range": 0.3
    """

  /// Config texts by `model_type`.
  static let configs: [String: String] = [
    "llama": "", "mistral": #""sliding_window": 5"#, "qwen2": #""use_sliding_window": true, "sliding_window": 4, "max_window_layers": 1"#,
    "qwen3": #""head_dim": 12"#, "gemma2": #""head_dim": 8, "sliding_window": 6, "query_pre_attn_scalar": 9"#,
    "phi3": #""partial_rotary_factor": 0.5, "sliding_window": 7"#, "mixtral": #""num_local_experts": 4"#,
    "granite": #""embedding_multiplier": 3.5, "attention_multiplier": 0.2, "residual_multiplier": 0.7, "logits_scaling": 2.5"#, "olmo2": "",
    "gemma3_text": #""head_dim": 8, "sliding_window": 6, "sliding_window_pattern": 2, "query_pre_attn_scalar": 9"#,
    "cohere2": #""sliding_window": 5, "sliding_window_pattern": 2, "logit_scale": 0.3"#, "glm4": #""head_dim": 8"#,
    "gpt_oss": #"""
    "head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 5, "rope_scaling": {"rope_type": "yarn", "factor": 4,
    "original_max_position_embeddings": 16, "truncate": false}
    """#,
    "deepseek_v3": #"""
    "q_lora_rank": 14, "kv_lora_rank": 10, "qk_nope_head_dim": 6, "qk_rope_head_dim": 4, "v_head_dim": 5, "n_routed_experts": 6,
    "n_group": 3, "topk_group": 2, "num_experts_per_tok": 3, "moe_intermediate_size": 12, "first_k_dense_replace": 1
    """#,
    "qwen3_moe": #""head_dim": 8, "num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "decoder_sparse_step": 2"#,
  ]

  static func text(_ family: String) -> String {
    let more = configs[family] ?? ""
    return "{\"model_type\": \"\(family)\", \(sizes)\(more.isEmpty ? "" : ", " + more)}"
  }

  static func make(_ family: String, seed: UInt64 = 1) throws -> CausalLM {
    try ModelRegistry.make(config: ModelConfig(parsing: text(family)), source: .random(seed: seed))
  }

  /// A model with an adapter whose B is not zero.
  static func adapted(_ family: String, _ lora: LoRA) throws -> CausalLM {
    let model = try make(family)
    try model.add(lora, seed: 3)
    for (index, parameter) in model.adapterParameters.enumerated() where !parameter.name.hasSuffix("magnitude_vector") {
      parameter.value = .normal(parameter.shape, standardDeviation: 0.2, random: Random(seed: 9, stream: UInt64(index)))
    }
    return model
  }

  /// Ids that look like nothing, below 53.
  static func ids(_ count: Int, seed: UInt64 = 5) -> [Int32] { (0..<count).map { Int32(Random(seed: seed).word(UInt64($0)) % 53) } }
}

/// Keys and values of a few sequences, copied together: the simplest cache.
final class PlainCache: KeyValueCache {
  private var rows: [Int: [(keys: [Float], values: [Float])]] = [:]

  func append(layer: Int, keys: Tensor, values: Tensor, layout: SequenceLayout, window: Int?) -> (keys: [Tensor], values: [Tensor]) {
    var store = rows[layer] ?? Array(repeating: ([], []), count: layout.count)
    for sequence in 0..<layout.count {
      let range = layout.queryStarts[sequence]..<layout.queryStarts[sequence + 1]
      store[sequence].keys += keys.rows(range).array(Float.self)
      store[sequence].values += values.rows(range).array(Float.self)
    }
    rows[layer] = store
    func tensors(_ lists: [[Float]], _ columns: Int) -> [Tensor] { lists.map { Tensor($0, [$0.count / columns, columns]) } }
    return (tensors(store.map(\.keys), keys.shape.columns), tensors(store.map(\.values), values.shape.columns))
  }
}
