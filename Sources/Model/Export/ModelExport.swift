import Foundation
import SwiftletCPU
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore

/// Writes a model for other programs, reads back what was written, and says how far it is from the model in memory.
public struct ModelExport {
  /// What to write.
  public enum Format: Hashable, Sendable {
    /// The adapter in PEFT's layout.
    case adapter
    /// The adapter as a GGUF file, which llama.cpp puts on a model while it runs.
    case adapterGGUF(GGUFAdapterFile.Precision = .f32)
    /// The model in Hugging Face layout with its adapter merged in, in this precision; nil keeps the stored one.
    case merged(WeightFormat? = nil)
    /// The model with its adapter merged in, in bitsandbytes' 4-bit layout; what stays dense is bfloat16 or float16, by default as stored.
    case bnb4bit(WeightFormat? = nil)
    /// The same with the linear layers in 16 bits that lose most by 4, as far as a budget goes: a share of the plain export's bytes.
    case dynamic4bit(WeightFormat? = nil, budget: Double = 0.1)
    /// One GGUF file with the adapter merged in, for llama.cpp and its kin.
    case gguf(GGUFExportType = .q4_k_m)
    /// A folder with a GGUF file and a Modelfile, for Ollama.
    case ollama(GGUFExportType = .q4_k_m)
  }

  let network: CausalLM
  let base: String?
  let baseName: String?
  let text: String?
  let precision: WeightPrecision
  let samples: [[Int32]]
  let calibration: [[Int32]]
  let measuringDevice: Device

  /// An export of a network.
  /// - Parameters:
  ///   - base: the folder that it was loaded from, whose weights adapters are merged onto; nil for a network made from random weights.
  ///   - baseName: what an adapter calls its base model; nil for `base`.
  ///   - text: the folder of its tokenizer and template, which are copied byte for byte; nil for none.
  ///   - precision: how the network was loaded.
  ///   - samples: rows of token ids on which the written model is compared with the one in memory; empty takes one row of ids spread over
  ///     the vocabulary.
  ///   - calibration: rows of token ids on which `dynamic4bit` measures; empty takes a text of its own, or `samples` where there is no tokenizer.
  ///   - measuringDevice: where `dynamic4bit` measures a network in host memory that has the weights of `base` and no adapter. Any other is
  ///     measured where it lies.
  public init(
    _ network: CausalLM, base: String?, baseName: String? = nil, text: String?, precision: WeightPrecision = .stored,
    samples: [[Int32]] = [], calibration: [[Int32]] = [], measuringOn measuringDevice: Device = .cpu
  ) {
    self.measuringDevice = measuringDevice
    self.network = network
    self.base = base
    self.baseName = baseName ?? base
    self.text = text
    self.precision = precision
    self.samples = samples.contains { !$0.isEmpty } ? samples.filter { !$0.isEmpty } : [CalibrationText.spread(network.vocabularySize)]
    self.calibration = calibration.filter { !$0.isEmpty }
  }

  /// Writes `format` as a folder or file that is whole or not there. It gets its name when it was read back and compared.
  /// - Throws: as `check`; where a merge changes nothing, a number is not finite, a file cannot be written, or what was read back is not what
  ///   was written.
  @discardableResult
  public func write(_ format: Format, to path: String) throws -> ExportReport {
    try check(format, to: path)
    return switch format {
    case .adapter: try writeAdapter(path)
    case .adapterGGUF(let precision): try writeAdapterGGUF(path, precision)
    case .merged(let weights): try writeModel(path, format) { try ModelFile.save(network, to: $0, options(weights)) }
    case .bnb4bit(let weights): try writeModel(path, format) { try BitsAndBytesFile.save(network, to: $0, options(weights)) }
    case .dynamic4bit(let weights, let budget): try writeDynamic(path, format, options(weights), budget)
    case .gguf(let type): try writeGGUF(path, type)
    case .ollama(let type): try writeOllama(path, type)
    }
  }

  func options(_ weights: WeightFormat?) -> ModelFile.Options { ModelFile.Options(format: weights, source: base, text: text) }

  private func writeAdapter(_ folder: String) throws -> ExportReport {
    try AtomicFolder.write(folder, mayReplace: Format.adapter.mayReplace) { temporary in
      try AdapterFile.save(network, to: temporary, baseModel: baseName)
      try CompanionFiles.copy(from: text, to: temporary)
      // The adapter was trained on this choice; measured anew it might be another.
      if let scheme = network.placement.fourBit {
        try AtomicFile.write(Files.join(temporary, FourBitChoice.fileName), bytes: FourBitChoice.table(of: scheme))
      }
      let loaded = try loadedBase(adapter: temporary)
      return ExportReport(
        .adapter, path: folder, tensors: network.adapterFileParameters.count, changed: network.adapterFileParameters.count,
        largestTensorError: try largestError(loaded), comparison: compare(loaded))
    }
  }

  private func writeAdapterGGUF(_ path: String, _ precision: GGUFAdapterFile.Precision) throws -> ExportReport {
    try AtomicFolder.writeFile(path, mayReplace: GGUFFile.isAt) { temporary in
      let written = try GGUFAdapterFile.save(network, precision, name: name, to: temporary)
      let loaded = try loadedBase()
      if let lora = network.lora { try loaded.add(lora) }
      try GGUFAdapterFile.load(temporary, into: loaded)
      // Numbers come back divided by what they were multiplied with: that last bit is no error of the file.
      return ExportReport(
        .adapterGGUF(precision), path: path, tensors: written.tensors, changed: written.changed, largestTensorError: written.largestError,
        comparison: compare(loaded))
    }
  }

  func writeModel(
    _ folder: String, _ format: Format, choice: FourBitChoice? = nil, _ save: (String) throws -> ModelFile.Report
  ) throws -> ExportReport {
    try AtomicFolder.write(folder, mayReplace: format.mayReplace) { temporary in
      let written = try save(temporary)
      try ModelFile.verify(temporary, written)
      return ExportReport(
        format, path: folder, tensors: written.tensors, changed: written.changed, largestTensorError: written.largestRounding,
        comparison: compare(try ModelLoader.load(temporary)), notes: notes(format, choice), choice: choice)
    }
  }

  private func notes(_ format: Format, _ choice: FourBitChoice?) -> [String] {
    var notes: [String] = []
    if let choice, choice.plainDivergence == 0 {
      notes.append(
        "4 bits change no answer: are the source's weights in 4 bits already? What they were before is not in it; export from that")
    }
    guard format.isFourBit, network.modules.contains(where: { $0.path.contains(".experts.") }) else { return notes }
    return notes + ["transformers 4 and its kin read experts in 4 bits; transformers 5 holds them as stacks, which it does not read so"]
  }

  /// What a file calls the model.
  var name: String { base?.split(separator: "/").last.map(String.init) ?? "model" }

  /// What an adapter is read back onto: the base as the network has it.
  private func loadedBase(adapter: String? = nil) throws -> CausalLM {
    try ModelLoader.load(requireBase(), as: precision, adapter: adapter, placing: { $0.coding(by: network.placement.fourBit) })
  }

  /// The folder that an adapter is read back onto.
  func requireBase() throws -> String {
    guard let base else {
      throw CheckpointError("export", "an adapter needs its base model, and this one was made from random weights: export merged instead")
    }
    return base
  }

  /// The largest difference between an adapter's tensors in memory and as read back.
  private func largestError(_ loaded: CausalLM) throws -> Float {
    let (wanted, found) = (network.adapterFileParameters, loaded.adapterFileParameters)
    guard wanted.map(\.name) == found.map(\.name) else { throw CheckpointError(name, "the adapter read back has other tensors") }
    var largest: Float = 0
    for (a, b) in zip(wanted, found) {
      for (x, y) in zip(a.value.array(Float.self), b.value.array(Float.self)) { largest = max(largest, abs(x - y)) }
    }
    return largest
  }

  func compare(_ loaded: CausalLM) -> LogitComparison { LogitComparison(network, loaded, on: samples) }
}
