import SwiftletModels
import SwiftletTensorCore
import SwiftletTrainers

/// Small models and rows that tests make for themselves.
enum Tiny {
  static let llama = """
    {"model_type":"llama","vocab_size":97,"hidden_size":32,"intermediate_size":48,"num_hidden_layers":3,"num_attention_heads":4,
    "num_key_value_heads":2,"rms_norm_eps":1e-5,"max_position_embeddings":128,"tie_word_embeddings":false,"initializer_range":0.08}
    """
  static let mixtral = """
    {"model_type":"mixtral","vocab_size":97,"hidden_size":32,"intermediate_size":48,"num_hidden_layers":2,"num_attention_heads":4,
    "num_key_value_heads":2,"rms_norm_eps":1e-5,"max_position_embeddings":128,"num_local_experts":4,"num_experts_per_tok":2,
    "initializer_range":0.08}
    """

  static let gptOss = """
    {"model_type":"gpt_oss","vocab_size":97,"hidden_size":32,"intermediate_size":48,"num_hidden_layers":2,"num_attention_heads":4,
    "num_key_value_heads":2,"head_dim":16,"max_position_embeddings":128,"num_local_experts":4,"num_experts_per_tok":2,"sliding_window":8,
    "initializer_range":0.08}
    """
  static let deepSeek = """
    {"model_type":"deepseek_v3","vocab_size":97,"hidden_size":32,"intermediate_size":48,"num_hidden_layers":2,"num_attention_heads":4,
    "max_position_embeddings":128,"q_lora_rank":24,"kv_lora_rank":16,"qk_nope_head_dim":16,"qk_rope_head_dim":8,"v_head_dim":16,
    "n_routed_experts":6,"n_group":3,"topk_group":2,"num_experts_per_tok":2,"moe_intermediate_size":16,"first_k_dense_replace":1,
    "initializer_range":0.08}
    """

  static func model(_ config: String = llama, lora: LoRA? = LoRA(rank: 4, alpha: 8), seed: UInt64 = 1) throws -> CausalLM {
    let model = try ModelRegistry.make(config: ModelConfig(parsing: config), source: .random(seed: seed))
    guard let lora else {
      try model.makeAllTrainable()
      return model
    }
    try model.add(lora, seed: 5)
    // B starts at zero; with noise in it the gradient of A is there from the first step.
    for (index, parameter) in model.adapterParameters.enumerated() {
      let random = Random(seed: 77, stream: UInt64(index))
      parameter.update { value in for i in 0..<value.count { value.floats[i] += 0.05 * (random.uniform(UInt64(i)) - 0.5) } }
    }
    return model
  }

  /// Rows of uneven lengths; a third of each is not trained on.
  static func rows(_ count: Int, longest: Int = 24, seed: UInt64 = 9) -> [TokenRow] {
    (0..<count).map { index in
      let random = Random(seed: seed, stream: UInt64(index))
      let length = 4 + Int(random.word(0)) % max(1, longest - 4)
      let ids = (0..<length).map { Int32(random.word(UInt64($0 + 1)) % 97) }
      return TokenRow(ids: ids, labels: ids.enumerated().map { $0.offset < length / 3 ? -100 : $0.element })
    }
  }

  /// All trained numbers in order.
  static func weights(_ model: CausalLM) -> [Float] { model.trainableParameters.flatMap { $0.value.array(Float.self) } }
}
