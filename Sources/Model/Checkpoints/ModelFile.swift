import Foundation
import SwiftletCPU
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore

/// Writes models in Hugging Face layout: `config.json`, safetensors of at most 5 GB each, generation config and tokenizer files.
public enum ModelFile {
  /// How to write.
  public struct Options: Sendable {
    /// Format of the weights; nil keeps each tensor's own (of `source` where given).
    public var format: WeightFormat?
    /// A folder whose tensors are the base to merge onto, and whose other files are copied; nil takes the model's own weights.
    public var source: String?
    /// Most bytes of tensors in a file.
    public var shardBytes = 5_000_000_000

    /// Options.
    public init(format: WeightFormat? = nil, source: String? = nil) {
      self.format = format
      self.source = source
    }
  }

  /// What was written.
  public struct Report: Sendable {
    /// Number of tensors written.
    public let tensors: Int
    /// Number of tensors that the adapter changed, after rounding.
    public let changed: Int
    /// Largest |written − exact| over all merged tensors: the rounding of the format.
    public let largestRounding: Float
  }

  /// Writes the model, adapters merged in, as a folder that is either whole or not there. Memory: one tensor in float32 beside the model.
  /// - Throws: where a merge changes nothing, a number is not finite, or a file cannot be written.
  @discardableResult
  public static func save(_ model: CausalLM, to folder: String, _ options: Options = .init()) throws -> Report {
    let plan = try SavePlan(model, options)
    var report = Report(tensors: plan.entries.count, changed: 0, largestRounding: 0)
    try AtomicFolder.write(folder, mayReplace: isModel) { temporary in
      try TensorFiles.writeShards(plan.entries, to: temporary, name: "model", limit: options.shardBytes)
      if plan.isMerge && plan.changed == 0 {
        throw CheckpointError(
          folder, "the adapter changes no weight (at this precision): nothing to merge. Train it first, or choose --type float32")
      }
      try FolderFiles.write(.object(plan.config), to: FolderFiles.join(temporary, "config.json"))
      try CompanionFiles.copy(from: options.source, to: temporary)
      report = Report(tensors: plan.entries.count, changed: plan.changed, largestRounding: plan.largestRounding)
    }
    return report
  }

  private static func isModel(_ files: [String]) -> Bool { files.contains("config.json") || files.contains("adapter_config.json") }
}

/// Files that belong to a model beside its tensors: tokenizer, template, generation settings, licence.
public enum CompanionFiles {
  package static let names: Set<String> = [
    "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.model",
    "vocab.json", "merges.txt", "vocab.txt", "chat_template.jinja", "chat_template.json", "spiece.model", "tekken.json", "LICENSE",
    "LICENSE.txt", "NOTICE",
  ]

  /// Copies what is there byte for byte; nothing for nil.
  public static func copy(from folder: String?, to target: String) throws {
    guard let folder else { return }
    for name in try FileManager.default.contentsOfDirectory(atPath: folder).sorted() where names.contains(name) {
      try FileManager.default.copyItem(atPath: FolderFiles.join(folder, name), toPath: FolderFiles.join(target, name))
    }
  }
}

/// Which tensors a saved model has and how each is made.
private final class SavePlan {
  private(set) var entries: [TensorEntry] = []
  private(set) var config: JSONObject
  private(set) var changed = 0
  private(set) var largestRounding: Float = 0
  let isMerge: Bool
  private let source: CheckpointReader?
  private let format: WeightFormat?

  init(_ model: CausalLM, _ options: ModelFile.Options) throws {
    config = model.config.json
    isMerge = model.lora != nil
    source = try options.source.flatMap { folder in
      FolderFiles.exists(FolderFiles.join(folder, "config.json")) ? try CheckpointReader(folder) : nil
    }
    format = options.format
    // A tied pair of which one side was trained alone cannot stay tied: merged, it would change the other side too.
    let isTied =
      model.decoder.isTied && model.head.weight === model.embedding.weight && model.head.adapter == nil && model.embedding.adapter == nil
    try collect(model, isTied: isTied)
    describe(model, isTied: isTied)
  }

  private func collect(_ model: CausalLM, isTied: Bool) throws {
    for module in model.modules where !(isTied && module === model.head) {
      for parameter in module.parameters {
        let name = "\(module.path).\(parameter.name.split(separator: ".").last ?? "weight")"
        let isWeight = parameter === module.parameters.first
        try add(name, parameter, isWeight ? module.adapter : nil, isEmbedding: module is Embedding, isOwn: parameter.isTrainable)
      }
    }
  }

  private func add(_ name: String, _ parameter: Parameter, _ adapter: LoRAAdapter?, isEmbedding: Bool, isOwn: Bool) throws {
    // Trained weights are the model's own; frozen ones may come from the better original.
    let stored = isOwn ? nil : source.flatMap { $0.shape(parameter.name) == parameter.shape.dimensions ? parameter.name : nil }
    let base: () throws -> Tensor = { [source] in
      if let stored, let source { return try source.tensor(stored) }
      return parameter.value
    }
    let dtype = try format?.dtype ?? base().dtype
    if isOwn && isMerge { changed += 1 }
    entries.append(
      TensorEntry(name: name, shape: parameter.shape, dtype: dtype) { [weak self] in
        let original = try base()
        guard let adapter else { return try Self.finite(original.dtype == dtype ? original : original.converted(to: dtype), name) }
        return try self?.merge(original, adapter, dtype, name, isEmbedding: isEmbedding) ?? original
      })
  }

  private static func finite(_ tensor: Tensor, _ name: String) throws -> Tensor {
    try Finite.check(tensor, name)
    return tensor
  }

  private func merge(_ base: Tensor, _ adapter: LoRAAdapter, _ dtype: DType, _ name: String, isEmbedding: Bool) throws -> Tensor {
    let exact = adapter.merged(base, isEmbedding: isEmbedding)
    let written = dtype == .float32 ? exact : exact.converted(to: dtype, part: .workspace)
    try Finite.check(written, name)
    let (wide, before) = (written.float32, base.converted(to: dtype, part: .workspace).float32)
    var isChanged = false
    for (index, value) in wide.floats.enumerated() {
      largestRounding = max(largestRounding, abs(value - exact.floats[index]))
      if value != before.floats[index] { isChanged = true }
    }
    if isChanged { changed += 1 }
    return written
  }

  private func describe(_ model: CausalLM, isTied: Bool) {
    let dtypes = Set(entries.map(\.dtype))
    if let dtype = dtypes.count == 1 ? dtypes.first : .float32 {
      if config["torch_dtype"] != nil { config["torch_dtype"] = .string(dtype.rawValue) }
      if config["dtype"] != nil || config["torch_dtype"] == nil { config["dtype"] = .string(dtype.rawValue) }
    }
    if model.decoder.isTied && !isTied { config["tie_word_embeddings"] = .bool(false) }
    config["quantization_config"] = nil
  }
}
