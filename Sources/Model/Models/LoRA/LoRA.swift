/// What a low-rank adapter looks like and where it goes. Encodes as `adapter: {lora: …}` of a recipe; every key has a default.
public struct LoRA: Codable, Hashable, Sendable {
  /// Which modules get an adapter, by PEFT's rules.
  public enum Targets: Hashable, Sendable {
    /// Every linear layer but the head.
    case allLinear
    /// Modules whose path is one of the names or ends with `.name`.
    case names([String])
    /// Modules whose whole path matches a regular expression.
    case pattern(String)
  }

  /// How A starts; B starts at zero (on embeddings the other way round).
  public enum Initialisation: String, Codable, Hashable, Sendable {
    /// Uniform in ±1/√in (Kaiming, a = √5): PEFT's default.
    case kaiming
    /// Normal with standard deviation 1/rank.
    case gaussian
  }

  /// Rank of the update, from 1.
  public var rank = 16
  /// The update is scaled by alpha / rank.
  public var alpha = 32.0
  /// Probability with which an input of A is dropped in training, from 0 to below 1.
  public var dropout: Float = 0
  /// Which modules.
  public var targets = Targets.allLinear
  /// Stacks of experts that get an adapter besides, by PEFT's rules for `target_parameters`: `mlp.experts.gate_up_proj`, `mlp.experts.down_proj`
  /// (gpt-oss). Not together with dropout or DoRA.
  public var targetParameters: [String] = []
  /// Which of them not: names or one pattern.
  public var exclude = Targets.names([])
  /// Other ranks for modules whose path matches a key as PEFT's `rank_pattern` does.
  public var rankPattern: [String: Int] = [:]
  /// Other alphas, likewise.
  public var alphaPattern: [String: Double] = [:]
  /// Only in these layers; empty for all.
  public var layers: [Int] = []
  /// What the list of layers is called in paths; empty for any name.
  public var layersPattern: [String] = []
  /// Scale by alpha / √rank (Kalajdzievski, 2023).
  public var useRSLoRA = false
  /// Train lengths of the weight's rows as well (Liu et al., 2024).
  public var useDoRA = false
  /// Modules that are trained whole and saved with the adapter, by name.
  public var modulesToSave: [String] = []
  /// How A starts.
  public var initialisation = Initialisation.kaiming

  /// An adapter; the other fields can be set afterwards.
  public init(rank: Int = 16, alpha: Double = 32, dropout: Float = 0, targets: Targets = .allLinear) {
    self.rank = rank
    self.alpha = alpha
    self.dropout = dropout
    self.targets = targets
  }
}

extension LoRA.Targets: Codable {
  private enum CodingKeys: String, CodingKey { case regex }

  /// `allLinear` (or PEFT's `all-linear`), a list of names, or `{regex: …}`. Any other single string is taken for one name.
  public init(from decoder: any Decoder) throws {
    if let keyed = try? decoder.container(keyedBy: CodingKeys.self), let regex = try? keyed.decode(String.self, forKey: .regex) {
      self = .pattern(regex)
      return
    }
    let single = try decoder.singleValueContainer()
    if let name = try? single.decode(String.self) {
      self = ["allLinear", "all-linear"].contains(name) ? .allLinear : .names([name])
    } else {
      self = .names(try single.decode([String].self))
    }
  }

  /// `"allLinear"`, a list, or `{"regex": …}`.
  public func encode(to encoder: any Encoder) throws {
    switch self {
    case .allLinear:
      var single = encoder.singleValueContainer()
      try single.encode("allLinear")
    case .names(let names):
      var single = encoder.singleValueContainer()
      try single.encode(names)
    case .pattern(let regex):
      var keyed = encoder.container(keyedBy: CodingKeys.self)
      try keyed.encode(regex, forKey: .regex)
    }
  }
}

/// Why an adapter does not fit a model.
public struct LoRAError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was wanted, what was found, what to do.
  public let description: String
  /// An error.
  public init(_ description: String) { self.description = description }
}
