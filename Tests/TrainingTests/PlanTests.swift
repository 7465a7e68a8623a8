import SwiftletCPU
import SwiftletModels
import SwiftletOptimizers
import SwiftletTensorCore
import SwiftletTrainers
import Testing

extension TrainingTests {
  @Suite(.serialized) struct PlanTests {
    static let families: [(name: String, config: String)] = [
      (
        "llama",
        """
        {"model_type":"llama","vocab_size":600,"hidden_size":96,"intermediate_size":224,"num_hidden_layers":6,"num_attention_heads":6,
        "num_key_value_heads":2,"max_position_embeddings":1024}
        """
      ),
      (
        "qwen3",
        """
        {"model_type":"qwen3","vocab_size":600,"hidden_size":96,"intermediate_size":192,"num_hidden_layers":5,"num_attention_heads":6,
        "num_key_value_heads":3,"head_dim":24,"max_position_embeddings":1024,"tie_word_embeddings":true}
        """
      ),
      (
        "gemma2",
        """
        {"model_type":"gemma2","vocab_size":600,"hidden_size":96,"intermediate_size":192,"num_hidden_layers":4,"num_attention_heads":4,
        "num_key_value_heads":2,"head_dim":24,"query_pre_attn_scalar":24,"max_position_embeddings":1024,"final_logit_softcapping":30.0,
        "attn_logit_softcapping":50.0,"sliding_window":64}
        """
      ),
      (
        "phi3",
        """
        {"model_type":"phi3","vocab_size":600,"hidden_size":96,"intermediate_size":224,"num_hidden_layers":5,"num_attention_heads":6,
        "num_key_value_heads":3,"max_position_embeddings":1024,"original_max_position_embeddings":1024}
        """
      ),
      (
        "mixtral",
        """
        {"model_type":"mixtral","vocab_size":600,"hidden_size":96,"intermediate_size":160,"num_hidden_layers":4,"num_attention_heads":4,
        "num_key_value_heads":2,"max_position_embeddings":1024,"num_local_experts":4,"num_experts_per_tok":2}
        """
      ),
      (
        "gpt_oss",
        """
        {"model_type":"gpt_oss","vocab_size":600,"hidden_size":96,"intermediate_size":160,"num_hidden_layers":4,"num_attention_heads":4,
        "num_key_value_heads":2,"head_dim":24,"max_position_embeddings":1024,"num_local_experts":4,"num_experts_per_tok":2}
        """
      ),
      (
        "deepseek_v3",
        """
        {"model_type":"deepseek_v3","vocab_size":600,"hidden_size":96,"intermediate_size":160,"num_hidden_layers":4,"num_attention_heads":4,
        "q_lora_rank":64,"kv_lora_rank":48,"qk_nope_head_dim":24,"qk_rope_head_dim":16,"v_head_dim":24,"max_position_embeddings":1024,
        "n_routed_experts":4,"n_group":2,"topk_group":1,"num_experts_per_tok":2,"moe_intermediate_size":96,"first_k_dense_replace":1}
        """
      ),
    ]

    /// What training really takes at its peak lies within a few per cent of the plan.
    @Test func equalsTheRealPeak() throws {
      for (name, config) in Self.families {
        let all = [
          (true, CheckpointOption.none, 1), (false, .everyBlock, 1), (true, .everyBlock, 1), (false, .none, 1), (true, .none, 3),
          (false, .none, 3),
        ]
        for (lora, checkpoint, passes) in name == "llama" ? all : Array(all.prefix(2)) {
          var recipe = Recipe()
          (recipe.plan.steps, recipe.plan.batchSize, recipe.plan.accumulation) = (1, 1, passes)
          recipe.memory.checkpoint = checkpoint
          recipe.memory.tokensAtOnce = 200
          if lora { recipe.optimizer = .adamW8bit(learningRate: 1e-3) }
          let rows = (0..<passes).map { _ in
            TokenRow(ids: (0..<200).map { Int32($0 * 7 % 600) }, labels: (0..<200).map { Int32($0 * 7 % 600) })
          }
          let shapes = try ModelRegistry.shapes(config: ModelConfig(parsing: config))
          if lora { try shapes.add(LoRA(rank: 8)) } else { try shapes.makeAllTrainable() }
          let plan = MemoryPlan(shapes, recipe, tokens: 200, passes: passes) { 4 * $0.shape.count }
          let base = HostMemory.liveBytes
          HostMemory.resetPeak()
          let model = try ModelRegistry.make(config: ModelConfig(parsing: config), source: .random(seed: 1))
          if lora { try model.add(LoRA(rank: 8)) } else { try model.makeAllTrainable() }
          let trainer = try SFTTrainer(model, on: rows, recipe: recipe)
          while try trainer.step() != nil {}
          let (peak, planned) = (HostMemory.peakBytes - base, plan.peakBytes - plan.reserve)
          let ratio = Double(planned) / Double(peak)
          print("\(name) lora \(lora) \(checkpoint) passes \(passes): ratio \(ratio)")
          #expect(ratio > 0.97 && ratio < 1.06, "\(name) lora \(lora) \(checkpoint): planned \(plan), found \(peak)")
        }
      }
    }
  }
}
