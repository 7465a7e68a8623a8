import SwiftletFormats

/// What a GGUF export stores its matrices as: one type, or llama.cpp's mixes that give more bits to what suffers most.
public enum GGUFExportType: String, CaseIterable, Hashable, Sendable {
  case f32, f16, bf16
  case q8_0, q4_0, q2_k, q3_k_m, q4_k_s, q4_k_m, q5_k_s, q5_k_m, q6_k

  /// The type of a matrix that no rule of the mix names.
  var base: GGUFType {
    switch self {
    case .f32: .f32
    case .f16: .f16
    case .bf16: .bf16
    case .q8_0: .q8_0
    case .q4_0: .q4_0
    case .q2_k: .q2_K
    case .q3_k_m: .q3_K
    case .q4_k_s, .q4_k_m: .q4_K
    case .q5_k_s, .q5_k_m: .q5_K
    case .q6_k: .q6_K
    }
  }

  /// `general.file_type`.
  var fileType: UInt32 {
    switch self {
    case .f32: 0
    case .f16: 1
    case .q4_0: 2
    case .q8_0: 7
    case .q2_k: 10
    case .q3_k_m: 12
    case .q4_k_s: 14
    case .q4_k_m: 15
    case .q5_k_s: 16
    case .q5_k_m: 17
    case .q6_k: 18
    case .bf16: 32
    }
  }

  private var isDense: Bool { [.f32, .f16, .bf16].contains(self) }

  /// What a mix depends on.
  package struct Model {
    let layers: Int
    /// Query heads for each key head.
    let groups: Int
    let experts: Int
    /// Whether the table is the head, too.
    let isTied: Bool

    package init(layers: Int, groups: Int, experts: Int, isTied: Bool) {
      (self.layers, self.groups, self.experts, self.isTied) = (layers, groups, experts, isTied)
    }
  }

  /// The type of a tensor of `shape`, the slowest axis first.
  package func type(of name: String, shape: [Int], _ model: Model) -> GGUFType {
    // Vectors and routers are small and matter to every number behind them.
    guard shape.count > 1, !name.contains("ffn_gate_inp"), !name.contains("norm"), self != .f32 else { return .f32 }
    return fitting(isDense ? base : mixed(name, model), columns: shape.last ?? 1)
  }

  /// The nearest type whose blocks fill rows of `columns`.
  private func fitting(_ type: GGUFType, columns: Int) -> GGUFType {
    if columns % type.block.numbers == 0 { return type }
    if columns % 32 == 0 { return type == .q2_K || type == .q3_K ? .q4_0 : .q8_0 }
    return .f16
  }

  /// llama.cpp's choice.
  private func mixed(_ name: String, _ model: Model) -> GGUFType {
    let words = name.split(separator: ".")
    if name == "output.weight" || (model.isTied && name == "token_embd.weight") { return base == .q8_0 ? .q8_0 : .q6_K }
    guard words.count > 2, let layer = Int(words[1]) else { return base }
    switch words[2] {
    case "attn_v": return values(layer, model)
    case "attn_k": return model.experts == 8 ? .q8_0 : base
    case "attn_output": return output(model)
    case "attn_qkv": return [.q3_k_m: .q4_K, .q4_k_m: .q5_K, .q5_k_m: .q6_K][self] ?? base
    case "ffn_down", "ffn_down_exps": return down(layer, model)
    default: return base
    }
  }

  /// The first and last eighth of the layers, and every third between.
  private func hasMoreBits(_ layer: Int, _ model: Model) -> Bool {
    let eighth = model.layers / 8
    return layer < eighth || layer >= 7 * model.layers / 8 || (layer - eighth) % 3 == 2
  }

  private func values(_ layer: Int, _ model: Model) -> GGUFType {
    if model.experts == 8 { return .q8_0 }
    var type = base
    switch self {
    case .q2_k: type = model.groups >= 4 ? .q4_K : .q3_K
    case .q3_k_m: type = layer < 2 ? .q5_K : .q4_K
    case .q4_k_m, .q5_k_m: type = hasMoreBits(layer, model) ? .q6_K : base
    case .q4_k_s: type = layer < 4 ? .q5_K : base
    default: break
    }
    // So many heads share a value that more bits cost little.
    let isWide = model.groups == 8 && model.layers == 80
    return isWide && (type == .q3_K || type == .q4_K) ? .q5_K : type
  }

  private func output(_ model: Model) -> GGUFType {
    if model.experts == 8 { return [.q2_k, .q3_k_m, .q4_k_s, .q4_k_m].contains(self) ? .q5_K : base }
    return [.q2_k: .q3_K, .q3_k_m: .q4_K][self] ?? base
  }

  private func down(_ layer: Int, _ model: Model) -> GGUFType {
    switch self {
    case .q2_k: .q3_K
    case .q3_k_m: layer < model.layers / 16 ? .q5_K : .q4_K
    case .q4_k_m, .q5_k_m: hasMoreBits(layer, model) ? .q6_K : base
    case .q4_k_s: layer < model.layers / 8 ? .q5_K : base
    default: base
    }
  }
}
