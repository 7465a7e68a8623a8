import SwiftletFormats
import SwiftletModels

/// PEFT's `adapter_config.json` as a `LoRA`, and back.
public struct AdapterConfig: Sendable {
  /// What the adapter looks like.
  public let lora: LoRA
  /// The base model that it was made for, as written; may be a path or a repository.
  public let baseModel: String?

  /// Settings of other methods that change what an adapter computes: refused unless off.
  private static let unsupported = [
    "trainable_token_indices", "layer_replication", "alora_invocation_tokens", "fan_in_fan_out", "lora_bias",
    "use_qalora", "use_bdlora", "kasa_config", "monteclora_config", "velora_config", "arrow_config",
    "ensure_weight_tying",
  ]

  /// Reads and checks the fields.
  /// - Throws: `ConfigError` naming file and field.
  public init(_ json: JSONObject, file: String = "adapter_config.json") throws {
    let config = ModelConfig(json, file: file)
    try Self.refuseUnsupported(config)
    var lora = LoRA(
      rank: try config.required("r", in: 1...65536), alpha: try config.number("lora_alpha") ?? 8,
      dropout: Float(try config.number("lora_dropout", "a number from 0 to below 1") { $0 >= 0 && $0 < 1 } ?? 0),
      targets: try Self.targets(config, "target_modules") ?? .names([]))
    lora.targetParameters = try Self.strings(config, "target_parameters")
    lora.exclude = try Self.targets(config, "exclude_modules") ?? .names([])
    lora.rankPattern = try Self.pattern(config, "rank_pattern") { $0.int.flatMap { (1...65536).contains($0) ? $0 : nil } }
    lora.alphaPattern = try Self.pattern(config, "alpha_pattern") { $0.double.flatMap { $0.isFinite ? $0 : nil } }
    lora.layers = try config.ints("layers_to_transform", in: 0...(1 << 20)) ?? []
    lora.layersPattern = try Self.strings(config, "layers_pattern")
    lora.useRSLoRA = try config.bool("use_rslora") ?? false
    lora.useDoRA = try config.bool("use_dora") ?? false
    lora.modulesToSave = try Self.strings(config, "modules_to_save")
    self.lora = lora
    baseModel = try config.string("base_model_name_or_path")
  }

  private static func refuseUnsupported(_ config: ModelConfig) throws {
    if let type = try config.string("peft_type"), type != "LORA" {
      throw config.error("peft_type", "LORA is wanted, found \"\(type)\"")
    }
    if let bias = try config.string("bias"), bias != "none" {
      throw config.error("bias", "\"none\" is wanted: trained biases are not supported, found \"\(bias)\"")
    }
    for field in unsupported where config.has(field) {
      switch config.json[field] {
      case .bool(false)?: continue
      case .array(let list)? where list.isEmpty: continue
      case .object(let object)? where object.count == 0: continue
      default: throw config.error(field, "not supported: null or false is wanted")
      }
    }
  }

  /// A list of names, `all-linear`, or a regular expression.
  private static func targets(_ config: ModelConfig, _ field: String) throws -> LoRA.Targets? {
    guard config.has(field) else { return nil }
    if let text = config.json[field]?.string { return text.lowercased() == "all-linear" ? .allLinear : .pattern(text) }
    return .names(try config.strings(field) ?? [])
  }

  private static func strings(_ config: ModelConfig, _ field: String) throws -> [String] {
    if let one = config.json[field]?.string { return [one] }
    return try config.strings(field) ?? []
  }

  private static func pattern<Value>(_ config: ModelConfig, _ field: String, _ read: (JSON) -> Value?) throws -> [String: Value] {
    guard config.has(field) else { return [:] }
    guard let object = config.json[field]?.object else { throw config.error(field, "an object is wanted") }
    var result: [String: Value] = [:]
    for (key, value) in object {
      guard let number = read(value) else { throw config.error("\(field).\(key)", "a number is wanted, found \(value.kind)") }
      result[key] = number
    }
    return result
  }

  /// The file that PEFT loads, with all keys that it writes.
  public static func json(_ lora: LoRA, baseModel: String?, targetModules: [String]) -> JSON {
    func object(_ pairs: [(String, JSON)]) -> JSON { .object(JSONObject(pairs.sorted { $0.0 < $1.0 })) }
    func strings(_ values: [String]) -> JSON { values.isEmpty ? .null : .array(values.map { .string($0) }) }
    var pairs: [(String, JSON)] = [
      ("base_model_name_or_path", baseModel.map { .string($0) } ?? .null), ("r", .int(lora.rank)), ("lora_alpha", number(lora.alpha)),
      ("lora_dropout", number(shortest(lora.dropout))),
      ("target_modules", targets(lora.targets) ?? .array(targetModules.map { .string($0) })),
      ("exclude_modules", targets(lora.exclude) ?? .null),
      ("rank_pattern", object(lora.rankPattern.map { ($0.key, .int($0.value)) })),
      ("alpha_pattern", object(lora.alphaPattern.map { ($0.key, number($0.value)) })),
      ("layers_to_transform", lora.layers.isEmpty ? .null : .array(lora.layers.map { .int($0) })),
      ("target_parameters", strings(lora.targetParameters)),
      ("layers_pattern", strings(lora.layersPattern)), ("use_rslora", .bool(lora.useRSLoRA)), ("use_dora", .bool(lora.useDoRA)),
      ("modules_to_save", strings(lora.modulesToSave)),
      ("init_lora_weights", lora.initialisation == .gaussian ? .string("gaussian") : .bool(true)),
    ]
    pairs += [
      ("peft_type", .string("LORA")), ("task_type", .string("CAUSAL_LM")), ("peft_version", .string("0.21.2")), ("bias", .string("none")),
      ("inference_mode", .bool(true)), ("loftq_config", object([])), ("megatron_core", .string("megatron.core")),
      ("qalora_group_size", .int(16)),
    ]
    for key in ["ensure_weight_tying", "fan_in_fan_out", "lora_bias", "use_qalora"] { pairs.append((key, .bool(false))) }
    for key in [
      "alora_invocation_tokens", "arrow_config", "auto_mapping", "corda_config", "eva_config", "layer_replication", "megatron_config",
      "revision", "trainable_token_indices",
    ] { pairs.append((key, .null)) }
    return object(pairs)
  }

  private static func targets(_ targets: LoRA.Targets) -> JSON? {
    switch targets {
    case .allLinear: nil
    case .names(let names): names.isEmpty ? nil : .array(names.map { .string($0) })
    case .pattern(let text): .string(text)
    }
  }

  private static func number(_ value: Double) -> JSON { Int(exactly: value).map { .int($0) } ?? .number(value) }

  /// 0.1 rather than the float's 0.10000000149.
  private static func shortest(_ value: Float) -> Double { Double(value.description) ?? Double(value) }
}
