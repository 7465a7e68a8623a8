import SwiftletCPU
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore

extension FourBitChoice {
  /// The table's name beside weights.
  package static let fileName = "dynamic4bit.json"
  /// Bytes that 16 bits may add where nobody says otherwise, as a share of the plain 4-bit model's.
  public static let usualBudget = 0.1

  /// The table as it lies beside weights.
  package var file: [UInt8] { Array((json.serialized(indent: 2) + "\n").utf8) }

  /// Measures a model's files and chooses what stays in 16 bits while the rest is NF4 with searched scales. The same files give the same choice
  /// on every run on a device; another device may differ where two layers are all but equal.
  ///
  /// Nothing but embedding, norms, routers and head is loaded, in float32 so that small divergences are not lost in rounding; blocks are made one
  /// by one (`FourBitStreams` says what that costs).
  /// - Parameters:
  ///   - folder: a model folder or GGUF file with its weights in 16 or 32 bits.
  ///   - text: the folder of its tokenizer; nil for `folder`.
  ///   - calibration: rows of token ids to measure on; empty takes a text of its own, without a tokenizer ids spread over the vocabulary.
  ///   - budget: bytes that 16 bits may add, as a share of the plain 4-bit model's.
  /// - Throws: where the files cannot be read, are quantised already, or hold numbers that are not finite.
  public init(
    measuring folder: String, text: String? = nil, on device: Device = .cpu, calibration: [[Int32]] = [], budget: Double = usualBudget
  ) throws {
    try Self.check(budget: budget)
    let reader = try CheckpointReader(folder)
    self = try Self.withoutTraces(on: device) {
      let network = try reader.frame(on: device)
      let size = network.vocabularySize
      var rows = try calibration.isEmpty ? CalibrationText.rows(text ?? folder, vocabulary: size) : calibration
      if let bad = rows.joined().first(where: { $0 < 0 || Int($0) >= size }) {
        throw CheckpointError("calibration", "token ids from 0 to \(size - 1) are wanted, found \(bad): use this model's own tokenizer")
      }
      rows = CalibrationText.beginnings(rows)
      let choice = try FourBitChoice(
        network, ModelFile.Options(source: folder), measuringOn: rows.isEmpty ? [CalibrationText.spread(size)] : rows, budget: budget)
      guard choice.isFinite else {
        throw CheckpointError(folder, "the model's answers are not finite, so nothing can be measured: a weight or a norm is damaged")
      }
      return choice
    }
  }

  /// Runs `body` so that afterwards the memory, and the peak of it, are what they would be without: what follows was planned so.
  private static func withoutTraces<Result>(on device: Device, _ body: () throws -> Result) throws -> Result {
    defer { HostMemory.resetPeak() }
    guard device.isCUDA else { return try body() }
    let (gpu, slots) = (device.gpu, device.gpu.dequantizationSlots)
    gpu.dequantizationSlots = 0
    defer { gpu.dequantizationSlots = slots }
    let result = try body()
    try gpu.check()
    gpu.trim()
    gpu.memory.resetPeak()
    return result
  }

  /// The least that a table says: what `kept(recordedIn:)` reads.
  package static func table(of kept: Set<String>) -> [UInt8] {
    let rows = kept.sorted().map { JSON.object(JSONObject([("module", .string($0)), ("kept", .bool(true))])) }
    return Array((JSON.object(JSONObject([("modules", .array(rows))])).serialized(indent: 2) + "\n").utf8)
  }

  /// The paths that the table in a folder keeps in 16 bits; nil where there is no table.
  /// - Throws: where it is none.
  package static func kept(recordedIn folder: String) throws -> Set<String>? {
    let path = Files.join(folder, fileName)
    guard Files.exists(path) else { return nil }
    guard let rows = try ConfigFile.object(path)["modules"]?.array else {
      throw CheckpointError(path, "a table with \"modules\" is wanted: remove the file, and the layers are measured again")
    }
    return Set(
      try rows.compactMap { row in
        guard let module = row["module"]?.string, let isKept = row["kept"]?.bool else {
          throw CheckpointError(
            path, "each of \"modules\" wants \"module\" and \"kept\": remove the file, and the layers are measured again")
        }
        return isKept ? module : nil
      })
  }
}

extension CheckpointReader {
  /// What 4 bits code of a model: the matrices of its linear layers without head and routers.
  private static func coded(_ model: CausalLM) -> [Parameter] {
    model.modules.compactMap { module in
      guard let linear = module as? Linear, linear !== model.head, !linear.isRouter else { return nil }
      return linear.weight
    }
  }

  /// The model without the matrices that 4 bits code, in float32.
  fileprivate func frame(on device: Device) throws -> CausalLM {
    let shapes = try checkedShapes()
    try checkExact(shapes)
    let provider = StoredProvider(
      tensors, nil, isDense: true, leavingOut: Set(Self.coded(shapes).map(\.name)))
    let frame = try ModelRegistry.make(
      config: config, source: .provider(provider), placement: Placement(device, computing: .float32))
    if let error = provider.error { throw error }
    return frame
  }

  /// - Throws: where there is nothing to choose: matrices in few bits have lost already what a choice would save.
  func checkExact(_ shapes: CausalLM) throws {
    let isCoded = { (weight: Parameter) in self.tensors.isQuantized(weight.name) || self.tensors.codedFormat(weight.name) != nil }
    guard let coded = Self.coded(shapes).first(where: isCoded) else {
      guard let other = Self.coded(shapes).first(where: { tensors.format($0.name)?.isFloat != true }) else { return }
      throw CheckpointError(
        folder, "dynamic4bit chooses among weights in float32, bfloat16 and float16, and \(other.name) is stored otherwise")
    }
    throw CheckpointError(
      folder,
      """
      dynamic4bit chooses among weights in 16 or 32 bits, and \(coded.name) is stored in few bits already: load it as it is \
      (weights: stored), or start from the model that it was made from
      """)
  }

  /// - Throws: where a path is not of this model: a table of another.
  func check(kept: Set<String>, _ shapes: CausalLM) throws {
    let paths = Self.coded(shapes).map { $0.name.split(separator: ".").dropLast().joined(separator: ".") }
    let isKnown = { (name: String) in paths.contains { $0 == name || $0.hasPrefix(name + ".") } }
    guard let strange = kept.sorted().first(where: { !isKnown($0) }) else { return }
    throw CheckpointError(
      folder, "\(FourBitChoice.fileName) keeps \(strange) in 16 bits, and the model has no such linear layer: is it another model's table?")
  }
}
