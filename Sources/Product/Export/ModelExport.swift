import Foundation
import SwiftletCheckpoints
import SwiftletLayers
import SwiftletModels

/// Writes a model for other programs, reads back what was written, and says how far it is from the model in memory.
public struct ModelExport {
  /// What to write.
  public enum Format: Sendable {
    /// The adapter in PEFT's layout.
    case adapter
    /// The model in Hugging Face layout with its adapter merged in, in this precision; nil keeps the stored one.
    case merged(WeightFormat? = nil)
    /// One GGUF file with the adapter merged in, for llama.cpp and its kin.
    case gguf(GGUFExportType = .q4_k_m)
    /// A folder with a GGUF file and a Modelfile, for Ollama.
    case ollama(GGUFExportType = .q4_k_m)
  }

  let network: CausalLM
  let base: String
  let text: String
  let samples: [[Int32]]

  /// An export of a network that was loaded from the folder `base`.
  /// - Parameters:
  ///   - text: the folder of its tokenizer and template, which are copied byte for byte.
  ///   - samples: rows of token ids on which the written model is compared with the one in memory; empty takes one row of ids spread over
  ///     the vocabulary.
  public init(_ network: CausalLM, base: String, text: String, samples: [[Int32]] = []) {
    self.network = network
    self.base = base
    self.text = text
    self.samples = samples.contains { !$0.isEmpty } ? samples.filter { !$0.isEmpty } : [Self.spread(network.vocabularySize)]
  }

  /// Writes `format` as a folder (GGUF: a file) that is whole or not there, loads it again, and compares.
  /// - Throws: where there is no adapter to write, a merge changes nothing, a number is not finite, a file cannot be written, or what was
  ///   read back is not what was written.
  @discardableResult
  public func write(_ format: Format, to folder: String) throws -> ExportReport {
    switch format {
    case .adapter: try writeAdapter(folder)
    case .merged(let weights): try writeMerged(folder, weights)
    case .gguf(let type): try writeGGUF(folder, type)
    case .ollama(let type): try writeOllama(folder, type)
    }
  }

  private func writeAdapter(_ folder: String) throws -> ExportReport {
    try AtomicFolder.write(folder, mayReplace: { $0.contains("adapter_config.json") }) { temporary in
      try AdapterFile.save(network, to: temporary, baseModel: base)
      try CompanionFiles.copy(from: text, to: temporary)
    }
    let loaded = try ModelLoader.load(base, adapter: folder)
    let error = try largestError(loaded)
    let count = network.adapterFileParameters.count
    return ExportReport(
      path: folder, format: "adapter", tensors: count, changed: count, largestTensorError: error, comparison: compare(loaded, on: samples))
  }

  /// The largest difference between an adapter's tensors in memory and as read back.
  private func largestError(_ loaded: CausalLM) throws -> Float {
    let (wanted, found) = (network.adapterFileParameters, loaded.adapterFileParameters)
    guard wanted.map(\.name) == found.map(\.name) else { throw CheckpointError(base, "the adapter read back has other tensors") }
    var largest: Float = 0
    for (a, b) in zip(wanted, found) {
      for (x, y) in zip(a.value.array(Float.self), b.value.array(Float.self)) { largest = max(largest, abs(x - y)) }
    }
    return largest
  }

  private func writeMerged(_ folder: String, _ weights: WeightFormat?) throws -> ExportReport {
    let written = try ModelFile.save(network, to: folder, ModelFile.Options(format: weights, source: base, text: text))
    try ModelFile.verify(folder, written)
    let loaded = try ModelLoader.load(folder)
    return ExportReport(
      path: folder, format: "merged", tensors: written.tensors, changed: written.changed, largestTensorError: written.largestRounding,
      comparison: compare(loaded, on: samples))
  }

  func compare(_ loaded: CausalLM, on rows: [[Int32]]) -> LogitComparison {
    rows.reduce(into: LogitComparison()) { comparison, row in
      comparison.add(Self.logits(network, row), Self.logits(loaded, row), vocabulary: network.vocabularySize)
    }
  }

  private static func logits(_ network: CausalLM, _ row: [Int32]) -> [Float] {
    let context = ForwardContext(lengths: [row.count])
    return network.logits(hidden: network.hidden(ids: row, context), context).array()
  }

  /// 64 ids spread over the vocabulary.
  private static func spread(_ vocabulary: Int) -> [Int32] { (0..<64).map { Int32($0 * 2_654_435 % vocabulary) } }
}
