/// Which part of which stack an expert's parameter is.
package struct ExpertPlace: Hashable {
  /// `model.layers.3.mlp.experts`.
  package let path: String
  package let expert: Int
  /// `gate_proj`, `up_proj` or `down_proj`.
  package let projection: String
  package let isBias: Bool

  /// The place of the parameter `name`; nil for what belongs to no expert.
  package init?(_ name: String) {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count > 4, parts[parts.count - 4] == "experts", let expert = Int(parts[parts.count - 3]), expert >= 0,
      ["gate_proj", "up_proj", "down_proj"].contains(parts[parts.count - 2]), ["weight", "bias"].contains(parts[parts.count - 1])
    else { return nil }
    path = parts.dropLast(3).joined(separator: ".")
    self.expert = expert
    projection = String(parts[parts.count - 2])
    isBias = parts[parts.count - 1] == "bias"
  }

  /// The stored tensor.
  package var stack: String { "\(path).\(projection == "down_proj" ? "down_proj" : "gate_up_proj")\(isBias ? "_bias" : "")" }
  /// How many parameters of an expert share the stack, and which of them this one is: gate and up take turns.
  package var turns: (count: Int, index: Int) { projection == "down_proj" ? (1, 0) : (2, projection == "gate_proj" ? 0 : 1) }
}
