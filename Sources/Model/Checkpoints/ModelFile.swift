import Foundation
import SwiftletCPU
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore
import SwiftletTokenizers

/// Writes models in Hugging Face layout: `config.json`, safetensors of at most 5 GB each, generation config and tokenizer files.
public enum ModelFile {
  /// How to write.
  public struct Options: Sendable {
    /// Format of the weights; nil keeps each tensor's own (of `source` where given).
    public var format: WeightFormat?
    /// A folder whose tensors are the base to merge onto, and whose other files are copied; nil takes the model's own weights.
    public var source: String?
    /// A folder whose tokenizer and template go before those of `source`.
    public var text: String?
    /// Most bytes of tensors in a file.
    public var shardBytes = 5_000_000_000

    /// Options.
    public init(format: WeightFormat? = nil, source: String? = nil, text: String? = nil) {
      self.format = format
      self.source = source
      self.text = text
    }
  }

  /// What was written.
  public struct Report: Sendable {
    /// Number of tensors written.
    public let tensors: Int
    /// Number of tensors that the adapter changed, after rounding.
    public let changed: Int
    /// Largest |written − exact| over all tensors: the rounding of the format.
    public let largestRounding: Float
    /// CRC-32C of each tensor's bytes as written.
    let checksums: [String: UInt32]
  }

  /// Writes the model, adapters merged in, as a folder that is either whole or not there. Memory: one tensor in float32 beside the model.
  /// - Throws: where a merge changes nothing, a number is not finite, or a file cannot be written.
  @discardableResult
  public static func save(_ model: CausalLM, to folder: String, _ options: Options = .init()) throws -> Report {
    let plan = try SavePlan(model, options)
    var checksums: [String: UInt32] = [:]
    try AtomicFolder.write(folder, mayReplace: isModel) { temporary in
      checksums = try TensorFiles.writeShards(plan.entries, to: temporary, name: "model", limit: options.shardBytes)
      if plan.isMerge && plan.changed == 0 {
        throw CheckpointError(
          folder, "the adapter changes no weight (at this precision): nothing to merge. Train it first, or choose --type float32")
      }
      try ConfigFile.write(.object(plan.config), to: Files.join(temporary, "config.json"))
      for source in [options.text, options.source] { try CompanionFiles.copy(from: source, to: temporary) }
    }
    return Report(
      tensors: plan.entries.count, changed: plan.changed, largestRounding: plan.largestRounding, checksums: checksums)
  }

  /// Reads back every tensor of a saved folder.
  /// - Throws: where one is missing or its bytes are not those that were written.
  public static func verify(_ folder: String, _ report: Report) throws {
    let tensors = try StoredTensors(model: folder)
    for (name, checksum) in report.checksums {
      let tensor = try tensors.tensor(name)
      guard tensor.checksum == checksum else {
        throw CheckpointError(folder, "tensor \(name) read back is not what was written: is the disk sound?")
      }
    }
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

  /// Copies what is there, and not in `target` yet, byte for byte; nothing for nil. Of a GGUF file the tokenizer is written.
  public static func copy(from folder: String?, to target: String) throws {
    guard let folder else { return }
    if GGUFFile.isAt(folder) {
      for (name, bytes) in try Tokenizer.files(ofGGUF: folder) where !Files.exists(Files.join(target, name)) {
        try AtomicFile.write(Files.join(target, name), bytes: bytes)
      }
      return
    }
    for name in try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    where names.contains(name) && !Files.exists(Files.join(target, name)) {
      try FileManager.default.copyItem(atPath: Files.join(folder, name), toPath: Files.join(target, name))
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
  /// Experts that the family's files hold stacked.
  private var stacking: ExpertStacking?

  init(_ model: CausalLM, _ options: ModelFile.Options) throws {
    config = model.config.json
    isMerge = model.lora != nil
    source = try options.source.flatMap { folder in
      Files.exists(Files.join(folder, "config.json")) ? try CheckpointReader(folder) : nil
    }
    format = options.format
    stacking = try ModelRegistry.expertLayout(of: model.config) == .interleaved ? ExpertStacking() : nil
    // A tied pair of which one side was trained alone cannot stay tied: merged, it would change the other side too.
    let isTied =
      model.decoder.isTied && model.head.weight === model.embedding.weight && model.head.adapter == nil && model.embedding.adapter == nil
    try collect(model, isTied: isTied)
    entries += stacking?.entries ?? []
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
    // Weights that were trained or replaced since they were loaded are the model's own; others may come from the better original.
    let stored =
      isOwn || parameter.version > 0
      ? nil
      : source.flatMap { source in
        // Codes are no numbers to merge onto: the model's own are, which came from them.
        source.shape(parameter.name) == parameter.shape.dimensions && !source.isQuantized(parameter.name) ? parameter.name : nil
      }
    let base: () throws -> Tensor = { [source] in
      if let stored, let source { return try source.tensor(stored) }
      return parameter.hostValue
    }
    let dtype = try format?.dtype ?? base().dtype
    if isOwn && isMerge { changed += 1 }
    let make: ExpertStacking.Making = { [weak self] dtype in
      try self?.write(base(), adapter, dtype, name, isEmbedding: isEmbedding) ?? base()
    }
    if stacking != nil, let place = ExpertPlace(name) {
      stacking?.add(place, parameter.shape, dtype, make)
    } else {
      entries.append(TensorEntry(name: name, shape: parameter.shape, dtype: dtype) { try make(dtype) })
    }
  }

  /// The tensor as it is stored, with what rounding and adapter did to it noted.
  private func write(_ base: Tensor, _ adapter: LoRAAdapter?, _ dtype: DType, _ name: String, isEmbedding: Bool) throws -> Tensor {
    let exact = adapter?.merged(base, isEmbedding: isEmbedding) ?? base
    let written = exact.dtype == dtype ? exact : exact.converted(to: dtype, part: .workspace)
    try Finite.check(written, name)
    if exact.dtype != dtype { largestRounding = max(largestRounding, written.largestDifference(from: exact)) }
    if adapter != nil, written.largestDifference(from: base.converted(to: dtype, part: .workspace)) > 0 { changed += 1 }
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

extension Tensor {
  /// Calls `body` with the bytes, which are valid inside it.
  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try withExtendedLifetime(storage) { try body(UnsafeRawBufferPointer(start: storage.pointer + byteOffset, count: byteCount)) }
  }

  /// CRC-32C of the bytes.
  var checksum: UInt32 { withBytes { crc32c($0) } }

  /// The largest |difference| of an element, in float32.
  func largestDifference(from other: Tensor) -> Float {
    let (a, b) = (float32, other.float32)
    return withExtendedLifetime((a.storage, b.storage)) {
      let (x, y) = (a.floats, b.floats)
      var largest: Float = 0
      for i in 0..<x.count { largest = max(largest, abs(x[i] - y[i])) }
      return largest
    }
  }
}
