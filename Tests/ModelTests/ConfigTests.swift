import SwiftletFormats
import SwiftletModels
import Testing

/// Configs that make no sense are refused by an error that names file and field, and never trap.
@Suite struct ConfigTests {
  /// A field, what stands there, and which families it is tried on.
  private static let hostile: [(field: String, values: [String], families: [String])] = {
    let everywhere = TinyModels.configs.keys.sorted()
    let integers = ["0", "-1", "1.5", "\"8\"", "true", "[]", "{}", "9223372036854775807", "1e300"]
    let sizes = ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"]
    return sizes.map { ($0, integers + ["null"], everywhere) } + [
      ("num_key_value_heads", integers + ["3"], everywhere), ("head_dim", integers, everywhere),
      ("head_dim", ["7", "1"], everywhere.filter { $0 != "deepseek_v3" }),
      ("max_position_embeddings", integers, everywhere),
      ("rms_norm_eps", ["-1", "\"a\"", "2", "[]"], everywhere.filter { $0 != "cohere2" }),
      ("initializer_range", ["-1", "5", "{}"], everywhere), ("tie_word_embeddings", ["1", "\"yes\""], everywhere),
      ("rope_theta", ["0", "-5", "1", "\"a\"", "1e300"], everywhere),
      ("partial_rotary_factor", ["0", "-1", "1.5", "0.01", "\"\""], everywhere),
      ("rope_scaling", ["3", "[]", "\"linear\""], everywhere),
      ("hidden_act", ["\"relu\"", "3"], ["llama", "mistral", "qwen2", "phi3", "granite", "glm4", "gpt_oss", "deepseek_v3"]),
      ("hidden_activation", ["\"relu\"", "3"], ["gemma2", "gemma3_text"]),
      ("sliding_window", ["0", "-1", "1.5", "\"a\""], ["mistral", "gemma2", "phi3", "mixtral", "qwen2", "gpt_oss"]),
      ("layer_types", ["3", "[3]", "[\"full_attention\"]", "[\"a\",\"b\",\"c\"]"], ["gemma2", "qwen2", "gpt_oss"]),
      ("attention_bias", ["1", "\"\""], ["llama", "qwen3", "gemma2", "qwen3_moe", "gpt_oss", "deepseek_v3"]),
      ("mlp_bias", ["2"], ["llama"]),
      ("attn_logit_softcapping", ["0", "-1", "\"a\""], ["gemma2"]), ("final_logit_softcapping", ["0", "-1"], ["gemma2"]),
      ("query_pre_attn_scalar", ["0", "-4", "\"a\""], ["gemma2"]),
      ("num_local_experts", integers + ["100000"], ["mixtral", "gpt_oss"]), ("num_experts", integers + ["100000"], ["qwen3_moe"]),
      ("num_experts_per_tok", ["0", "-1", "9", "\"2\""], ["mixtral", "qwen3_moe", "gpt_oss", "deepseek_v3"]),
      ("moe_intermediate_size", integers, ["qwen3_moe", "deepseek_v3"]),
      ("swiglu_limit", ["0", "-1", "\"a\"", "1e300"], ["gpt_oss"]), ("swiglu_alpha", ["0", "-1", "[]", "1e300"], ["gpt_oss"]),
      ("q_lora_rank", integers, ["deepseek_v3"]), ("kv_lora_rank", integers, ["deepseek_v3"]), ("v_head_dim", integers, ["deepseek_v3"]),
      ("qk_nope_head_dim", integers, ["deepseek_v3"]), ("qk_rope_head_dim", integers + ["3", "1"], ["deepseek_v3"]),
      ("n_routed_experts", integers + ["100000", "7", "3"], ["deepseek_v3"]),
      ("n_group", ["0", "-1", "4", "65", "6", "\"a\""], ["deepseek_v3"]), ("topk_group", ["0", "-1", "4", "1", "{}"], ["deepseek_v3"]),
      ("n_shared_experts", ["-1", "65", "\"1\""], ["deepseek_v3"]), ("first_k_dense_replace", ["-1", "1.5", "[]"], ["deepseek_v3"]),
      ("routed_scaling_factor", ["0", "-1", "\"a\""], ["deepseek_v3"]), ("norm_topk_prob", ["1"], ["deepseek_v3", "qwen3_moe"]),
      ("scoring_func", ["\"softmax\"", "3"], ["deepseek_v3"]), ("topk_method", ["\"greedy\"", "[]"], ["deepseek_v3"]),
      ("moe_layer_freq", ["0", "2"], ["deepseek_v3"]), ("rope_interleave", ["1"], ["deepseek_v3"]),
      ("num_nextn_predict_layers", ["-1", "65", "\"1\""], ["deepseek_v3"]),
      ("rope_scaling", [#"{"type": "yarn", "factor": 4, "mscale_all_dim": -1}"#], ["deepseek_v3"]),
      ("decoder_sparse_step", ["0", "-1", "\"a\""], ["qwen3_moe"]), ("mlp_only_layers", ["[-1]", "[\"a\"]", "{}"], ["qwen3_moe"]),
      ("attention_multiplier", ["0", "-1", "\"a\""], ["granite"]), ("logits_scaling", ["0", "[]"], ["granite"]),
      ("layer_norm_eps", ["-1", "\"a\"", "2"], ["cohere2"]), ("logit_scale", ["0", "true"], ["cohere2"]),
      ("sliding_window_pattern", ["0", "-1", "\"a\""], ["cohere2", "gemma3_text"]),
      ("rope_local_base_freq", ["0", "1", "\"\""], ["gemma3_text"]),
      ("use_sliding_window", ["3"], ["qwen2", "qwen3", "qwen3_moe"]), ("max_window_layers", ["-1", "\"a\""], ["qwen2"]),
    ]
  }()

  @Test func hostileFieldsAreNamed() throws {
    var count = 0
    for (field, values, families) in Self.hostile {
      for family in families {
        for value in values {
          var json = try #require(try JSON(parsing: TinyModels.text(family)).object)
          json[field] = try JSON(parsing: value)
          let error = #expect(throws: ConfigError.self, "\(family) \(field) = \(value)") {
            try ModelRegistry.shapes(config: ModelConfig(json, file: "x/config.json"))
          }
          let text = error?.description ?? ""
          #expect(text.hasPrefix("x/config.json") && Self.mentions(text, field), "\(family) \(field) = \(value): \(text)")
          count += 1
        }
      }
    }
    print("\(count) hostile fields refused")
    #expect(count > 500)
  }

  /// A field may be blamed for not fitting to another, which the message then names.
  private static func mentions(_ text: String, _ field: String) -> Bool {
    text.contains(field) || (field == "hidden_size" && text.contains("num_attention_heads"))
      || (field == "num_attention_heads" && text.contains("num_key_value_heads"))
      || (field == "head_dim" && text.contains("rotary"))
  }

  @Test func hostileRotaryScalingsAreNamed() throws {
    let cases = [
      (#"{"rope_type": "unheard"}"#, "rope_type"), (#"{"rope_type": 3}"#, "rope_type"), (#"{"type": "linear"}"#, "factor"),
      (#"{"type": "linear", "factor": 0}"#, "factor"), (#"{"type": "linear", "factor": -1}"#, "factor"),
      (#"{"type": "linear", "factor": "2"}"#, "factor"), (#"{"type": "dynamic", "factor": 0.5}"#, "factor"),
      (#"{"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4}"#, "high_freq_factor"),
      (#"{"rope_type": "llama3", "factor": 8, "high_freq_factor": 4}"#, "low_freq_factor"),
      (
        #"{"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 0}"#,
        "original_max"
      ),
      (#"{"rope_type": "yarn", "factor": 4, "beta_fast": -2}"#, "beta_fast"),
      (#"{"rope_type": "yarn", "factor": 4, "attention_factor": -1}"#, "attention_factor"),
      (#"{"rope_type": "yarn", "factor": 4, "truncate": 3}"#, "truncate"),
      (#"{"rope_type": "longrope"}"#, "short_factor"), (#"{"rope_type": "longrope", "short_factor": [1]}"#, "short_factor"),
      (#"{"rope_type": "longrope", "short_factor": [1, 1, 1, 0], "long_factor": [1, 1, 1, 1]}"#, "short_factor"),
      (#"{"rope_type": "longrope", "short_factor": [1, 1, 1, 1], "long_factor": [1, 1, 1, "1"]}"#, "long_factor"),
    ]
    for (scaling, field) in cases {
      for key in ["rope_scaling", "rope_parameters"] {
        let text = TinyModels.text("llama").dropLast() + ", \"\(key)\": \(scaling)}"
        let error = #expect(throws: ConfigError.self, "\(scaling)") { try ModelRegistry.shapes(config: ModelConfig(parsing: String(text))) }
        #expect(error?.description.contains(field) == true && error?.description.contains(key) == true, "\(String(describing: error))")
      }
    }
  }

  @Test func weightsThatNoMachineHoldsAreNotAllocated() throws {
    var json = try #require(try JSON(parsing: TinyModels.text("llama")).object)
    json["vocab_size"] = .int(1 << 22)
    json["hidden_size"] = .int(1 << 17)
    let error = #expect(throws: ConfigError.self) { try ModelRegistry.make(config: ModelConfig(json), source: .random(seed: 1)) }
    #expect(error?.description.contains("GB") == true)
  }

  @Test func unknownArchitecturesListTheKnown() throws {
    for text in [
      #"{"model_type": "never_heard"}"#, #"{"architectures": ["NeverHeard"]}"#, "{}", #"{"model_type": 3}"#, #"{"architectures": 3}"#,
    ] {
      let error = #expect(throws: ConfigError.self) { try ModelRegistry.shapes(config: ModelConfig(parsing: text)) }
      if !text.contains("3") { #expect(ModelRegistry.knownModelTypes.allSatisfy { error?.description.contains($0) == true }) }
    }
    let byName = #"{"architectures": ["LlamaForCausalLM"], "# + TinyModels.sizes + "}"
    #expect(try ModelRegistry.shapes(config: ModelConfig(parsing: byName)).layerCount == 3)
    for text in ["", "[]", "{", "{\"a\": 1}}", "nonsense"] {
      #expect(throws: ConfigError.self) { try ModelRegistry.shapes(config: ModelConfig(parsing: text)) }
    }
  }
}
