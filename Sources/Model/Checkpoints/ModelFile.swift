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

    init(tensors: Int, changed: Int, largestRounding: Float, checksums: [String: UInt32]) {
      (self.tensors, self.changed, self.largestRounding, self.checksums) = (tensors, changed, largestRounding, checksums)
    }
  }

  /// Writes the model, adapters merged in, as a folder that is either whole or not there. Memory: one tensor in float32 beside the model.
  /// - Throws: where a merge changes nothing, a number is not finite, or a file cannot be written.
  @discardableResult
  public static func save(_ model: CausalLM, to folder: String, _ options: Options = .init()) throws -> Report {
    let plan = try SavePlan(model, options)
    let entries = plan.entries
    var checksums: [String: UInt32] = [:]
    try AtomicFolder.write(folder, mayReplace: isModel) { temporary in
      checksums = try TensorFiles.writeShards(
        entries.map { [$0] }, to: temporary, name: "model", limit: options.shardBytes)
      if plan.isMerge && plan.changed == 0 { throw CheckpointError(folder, unchanged) }
      try ConfigFile.write(.object(plan.config), to: Files.join(temporary, "config.json"))
      for source in [options.text, options.source] { try CompanionFiles.copy(from: source, to: temporary) }
    }
    return Report(
      tensors: entries.count, changed: plan.changed, largestRounding: plan.largestRounding, checksums: checksums)
  }

  static let unchanged =
    "the adapter changes no weight (at this precision): nothing to merge. Train it first, or choose --format merged --type float32"

  /// Bytes of the tensors that `save` would write for a model, which may be made of shapes only: what is checked before a run.
  public static func byteCount(_ model: CausalLM, _ options: Options = .init()) throws -> Int {
    try SavePlan(model, options).weights.reduce(0) { $0 + $1.shape.count * $1.dtype.size }
  }

  /// Reads back every tensor of a saved folder.
  /// - Throws: where one is missing or its bytes are not those that were written.
  public static func verify(_ folder: String, _ report: Report) throws {
    let tensors = try StoredTensors(model: folder)
    for (name, checksum) in report.checksums {
      let tensor = try tensors.tensor(name)
      defer { tensor.storage.releasePages() }
      guard tensor.checksum == checksum else {
        throw CheckpointError(folder, "tensor \(name) read back is not what was written: is the disk sound?")
      }
    }
  }

  static func isModel(_ files: [String]) -> Bool { files.contains("config.json") || files.contains("adapter_config.json") }
}

/// Files that belong to a model beside its tensors: tokenizer, template, generation settings, licence.
public enum CompanionFiles {
  package static let names: Set<String> = [
    "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.model",
    "vocab.json", "merges.txt", "vocab.txt", "chat_template.jinja", "chat_template.json", "spiece.model", "tekken.json", "LICENSE",
    "LICENSE.txt", "NOTICE",
  ]

  /// Whether a folder or GGUF file holds a tokenizer.
  package static func holdTokenizer(_ folder: String) throws -> Bool {
    if GGUFFile.isAt(folder) { return try Tokenizer.isInGGUF(folder) }
    return ["tokenizer.json", "tokenizer.model"].contains { Files.exists(Files.join(folder, $0)) }
  }

  /// Copies what is there, and not in `target` yet, byte for byte, whatever links lead to it; nothing for nil. Of a GGUF file the tokenizer is
  /// written.
  public static func copy(from folder: String?, to target: String) throws {
    guard let folder else { return }
    if GGUFFile.isAt(folder) {
      for (name, bytes) in try Tokenizer.files(ofGGUF: folder) where !Files.exists(Files.join(target, name)) {
        try AtomicFile.write(Files.join(target, name), bytes: bytes)
      }
      return
    }
    for name in names.sorted() {
      let (from, to) = (Files.join(folder, name), Files.join(target, name))
      if Files.exists(from), !Files.exists(to) { try Files.copy(from, to: to) }
    }
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
