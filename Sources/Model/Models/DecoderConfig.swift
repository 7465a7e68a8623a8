import SwiftletLayers
import SwiftletOps

/// What the configs of all decoders have in common, checked: sizes positive, bounded and divisible.
public struct DecoderConfig: Hashable, Sendable {
  /// Where families differ in what a missing field means.
  public struct Defaults: Sendable {
    var keyValueHeads: Int?
    var headDimension: Int?
    var epsilon = 1e-6
    var theta = 10_000.0
    var maxPositions = 32_768
    var isTied = false
    var activation = "silu"
    var activationField = "hidden_act"
    var epsilonField = "rms_norm_eps"
  }

  static let sizes = 1...(1 << 22)
  static let maxLayers = 1024

  /// Number of token ids.
  public let vocabularySize: Int
  /// Width of the stream.
  public let hiddenSize: Int
  /// Width inside the MLP; 0 where a family has none.
  public let intermediateSize: Int
  /// Number of blocks.
  public let layers: Int
  /// Number of query heads.
  public let heads: Int
  /// Number of key and value heads.
  public internal(set) var keyValueHeads: Int
  /// Width of a head's queries and keys.
  public internal(set) var headDimension: Int
  /// The longest sequence the model was made for, in tokens.
  public let maxPositions: Int
  /// ε of the norms.
  public let epsilon: Float
  /// Standard deviation of random weights.
  public let initializerRange: Float
  /// Whether the head's weight is the embedding's.
  public let isTied: Bool
  /// The MLP's activation.
  public let activation: Activation
  /// Base of the rotary wavelengths where the config names none.
  let defaultTheta: Double

  /// Reads and checks the common fields.
  /// - Throws: `ConfigError` naming file and field.
  public init(_ config: ModelConfig, _ defaults: Defaults) throws {
    vocabularySize = try config.required("vocab_size", in: Self.sizes)
    hiddenSize = try config.required("hidden_size", in: 1...(1 << 17))
    intermediateSize = try config.required("intermediate_size", in: Self.sizes)
    layers = try config.required("num_hidden_layers", in: 1...Self.maxLayers)
    heads = try config.required("num_attention_heads", in: 1...4096)
    let missingGroups = config.json["num_key_value_heads"] == nil ? defaults.keyValueHeads ?? heads : heads
    keyValueHeads = try config.int("num_key_value_heads", in: 1...4096) ?? missingGroups
    headDimension = try Self.headDimension(config, hiddenSize: hiddenSize, heads: heads, defaults)
    maxPositions = try config.int("max_position_embeddings", in: 1...(1 << 40)) ?? defaults.maxPositions
    epsilon = Float(try config.number(defaults.epsilonField, "a number from 0 to 1") { $0 >= 0 && $0 <= 1 } ?? defaults.epsilon)
    initializerRange = Float(try config.number("initializer_range", "a number from 0 to 1") { $0 >= 0 && $0 <= 1 } ?? 0.02)
    isTied = try config.bool("tie_word_embeddings") ?? defaults.isTied
    activation = try Self.activation(config, defaults)
    defaultTheta = defaults.theta
    guard heads % keyValueHeads == 0 else {
      throw config.error("num_key_value_heads", "a divisor of num_attention_heads (\(heads)) is wanted, found \(keyValueHeads)")
    }
  }

  private static func headDimension(_ config: ModelConfig, hiddenSize: Int, heads: Int, _ defaults: Defaults) throws -> Int {
    if let given = try config.int("head_dim", in: 1...8192) { return given }
    if config.json["head_dim"] == nil, let usual = defaults.headDimension { return usual }
    guard hiddenSize % heads == 0 else {
      throw config.error("num_attention_heads", "a divisor of hidden_size (\(hiddenSize)) is wanted, found \(heads)")
    }
    return hiddenSize / heads
  }

  private static func activation(_ config: ModelConfig, _ defaults: Defaults) throws -> Activation {
    let name = try config.string(defaults.activationField) ?? defaults.activation
    switch name {
    case "silu", "swish": return .silu
    case "gelu": return .gelu(.erf)
    case "gelu_pytorch_tanh", "gelu_new": return .gelu(.tanh)
    default:
      throw config.error(defaults.activationField, "one of silu, swish, gelu, gelu_new, gelu_pytorch_tanh is wanted, found \"\(name)\"")
    }
  }

  /// An attention shape of these sizes.
  public var attention: AttentionShape {
    var shape = AttentionShape(hidden: hiddenSize, heads: heads, keyValueHeads: keyValueHeads, headDimension: headDimension)
    shape.epsilon = epsilon
    return shape
  }
}

extension ModelConfig {
  /// `sliding_window`: tokens a token sees, itself included; nil for all.
  func window(_ missing: Int? = nil) throws -> Int? {
    try int("sliding_window", in: 1...(1 << 40)) ?? (json["sliding_window"] == nil ? missing : nil)
  }

  /// The window of each layer of Qwen's kind: `use_sliding_window`, then `layer_types`, or every layer from `max_window_layers` on.
  func layerWindows(layers: Int, window missing: Int?, slides: (Int) throws -> Bool) throws -> [Int?] {
    let window = try window(missing)
    let types = try layerTypes(layers)
    return try (0..<layers).map { layer in
      let isSliding = try types.map { $0[layer] == "sliding_attention" } ?? slides(layer)
      return isSliding ? window : nil
    }
  }

  /// `layer_types`, one for each layer; nil where missing.
  func layerTypes(_ layers: Int) throws -> [String]? {
    guard let types = try strings("layer_types") else { return nil }
    guard types.count == layers else {
      throw error("layer_types", "\(layers) entries (num_hidden_layers) are wanted, found \(types.count)")
    }
    let known = ["full_attention", "sliding_attention"]
    if let other = types.first(where: { !known.contains($0) }) {
      throw error("layer_types", "one of \(known.joined(separator: ", ")) is wanted, found \"\(other)\"")
    }
    return types
  }
}
