/// How llama.cpp names and lays out the parts of a family.
struct GGUFArchitecture: Sendable {
  /// `general.architecture`, and the prefix of its keys.
  let name: String
  /// The `model_type` of Hugging Face configs.
  let modelType: String
  /// Names inside of a block: llama.cpp's and those of Hugging Face files.
  let parts: [(gguf: String, file: String)]
  /// Whether rows of queries and keys stand pair by pair, where Hugging Face has the halves of a head one after the other.
  var permutes = false
  /// What llama.cpp's norms have more than Hugging Face's, whose factor is 1 + weight.
  var normOffset: Float = 0
  /// Where the experts' matrices stand in Hugging Face files: `model.layers.N.<path>.<expert>.<name>`; llama.cpp stacks them.
  var experts: Experts?

  struct Experts: Sendable {
    let path: String
    let names: [(gguf: String, file: String)]
  }

  /// Where a weight stands in a GGUF file.
  struct Place: Hashable {
    let tensor: String
    /// Which slice of a stack.
    var expert: Int?
  }

  /// The place of a weight of Hugging Face files; nil for a name that the family does not have.
  func place(of name: String) -> Place? {
    switch name {
    case "model.embed_tokens.weight": return Place(tensor: "token_embd.weight")
    case "model.norm.weight": return Place(tensor: "output_norm.weight")
    case "lm_head.weight": return Place(tensor: "output.weight")
    default: break
    }
    let words = name.split(separator: ".").map(String.init)
    guard words.count > 4, words[0] == "model", words[1] == "layers", let layer = Int(words[2]), let kind = words.last else { return nil }
    let path = words[3..<words.count - 1].joined(separator: ".")
    if let part = parts.first(where: { $0.file == path }) { return Place(tensor: "blk.\(layer).\(part.gguf).\(kind)") }
    guard let experts, path.hasPrefix(experts.path + "."), words.count > 6, let expert = Int(words[words.count - 3]) else { return nil }
    let name = words[words.count - 2]
    guard let part = experts.names.first(where: { $0.file == name }) else { return nil }
    return Place(tensor: "blk.\(layer).\(part.gguf).\(kind)", expert: expert)
  }

  /// Whether the rows of a weight stand in another order.
  func isPermuted(_ name: String) -> Bool { permutes && (name.contains(".self_attn.q_proj.") || name.contains(".self_attn.k_proj.")) }

  /// Whether a weight is a norm's, stored with `normOffset`.
  func isShifted(_ name: String) -> Bool { normOffset != 0 && name.hasSuffix("norm.weight") }
}

extension GGUFArchitecture {
  private static let attention: [(gguf: String, file: String)] = [
    ("attn_q", "self_attn.q_proj"), ("attn_k", "self_attn.k_proj"), ("attn_v", "self_attn.v_proj"), ("attn_output", "self_attn.o_proj"),
  ]
  private static let headNorms: [(gguf: String, file: String)] = [("attn_q_norm", "self_attn.q_norm"), ("attn_k_norm", "self_attn.k_norm")]
  private static let feedForward: [(gguf: String, file: String)] = [
    ("ffn_gate", "mlp.gate_proj"), ("ffn_up", "mlp.up_proj"), ("ffn_down", "mlp.down_proj"),
  ]
  private static let preNorms: [(gguf: String, file: String)] = [
    ("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm"),
  ]
  private static let sandwichNorms: [(gguf: String, file: String)] = [
    ("attn_norm", "input_layernorm"), ("post_attention_norm", "post_attention_layernorm"), ("ffn_norm", "pre_feedforward_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
  ]
  private static let llama = attention + feedForward + preNorms

  /// Every family that has a place in llama.cpp.
  static let all: [GGUFArchitecture] = [
    GGUFArchitecture(name: "llama", modelType: "llama", parts: llama, permutes: true),
    GGUFArchitecture(name: "llama", modelType: "mistral", parts: llama, permutes: true),
    GGUFArchitecture(
      name: "llama", modelType: "mixtral", parts: attention + preNorms + [("ffn_gate_inp", "block_sparse_moe.gate")], permutes: true,
      experts: Experts(
        path: "block_sparse_moe.experts", names: [("ffn_gate_exps", "w1"), ("ffn_up_exps", "w3"), ("ffn_down_exps", "w2")])),
    GGUFArchitecture(name: "granite", modelType: "granite", parts: llama, permutes: true),
    GGUFArchitecture(name: "qwen2", modelType: "qwen2", parts: llama),
    GGUFArchitecture(name: "qwen3", modelType: "qwen3", parts: llama + headNorms),
    GGUFArchitecture(
      name: "qwen3moe", modelType: "qwen3_moe", parts: attention + preNorms + headNorms + [("ffn_gate_inp", "mlp.gate")],
      experts: Experts(
        path: "mlp.experts", names: [("ffn_gate_exps", "gate_proj"), ("ffn_up_exps", "up_proj"), ("ffn_down_exps", "down_proj")])),
    GGUFArchitecture(name: "gemma2", modelType: "gemma2", parts: attention + feedForward + sandwichNorms, normOffset: 1),
    GGUFArchitecture(name: "gemma3", modelType: "gemma3_text", parts: attention + feedForward + sandwichNorms + headNorms, normOffset: 1),
    GGUFArchitecture(
      name: "phi3", modelType: "phi3",
      parts: preNorms + [
        ("attn_qkv", "self_attn.qkv_proj"), ("attn_output", "self_attn.o_proj"), ("ffn_up", "mlp.gate_up_proj"),
        ("ffn_down", "mlp.down_proj"),
      ]),
    GGUFArchitecture(
      name: "olmo2", modelType: "olmo2",
      parts: attention + feedForward + headNorms + [
        ("post_attention_norm", "post_attention_layernorm"), ("post_ffw_norm", "post_feedforward_layernorm"),
      ]),
    GGUFArchitecture(name: "cohere2", modelType: "cohere2", parts: attention + feedForward + [("attn_norm", "input_layernorm")]),
    GGUFArchitecture(
      name: "glm4", modelType: "glm4",
      parts: attention + [
        ("attn_norm", "input_layernorm"), ("post_attention_norm", "post_self_attn_layernorm"), ("ffn_norm", "post_attention_layernorm"),
        ("ffn_up", "mlp.gate_up_proj"), ("ffn_down", "mlp.down_proj"), ("post_ffw_norm", "post_mlp_layernorm"),
      ]),
  ]

  /// Names of the architectures, for messages.
  static var known: String { Set(all.map(\.name)).sorted().joined(separator: ", ") }
}
