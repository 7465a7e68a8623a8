import Foundation
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

  /// The table as it lies beside weights, with all that a base is coded anew by.
  package var file: [UInt8] {
    var table = json
    table["input_squares"] = Self.json(inputSquares)
    return Self.bytes(.object(table))
  }

  private static func bytes(_ json: JSON) -> [UInt8] { Array((json.serialized(indent: 2) + "\n").utf8) }

  /// Each layer's as base64 of bfloat16, little-endian.
  private static func json(_ squares: [String: [BFloat16]]) -> JSON {
    .object(
      JSONObject(
        squares.sorted { $0.key < $1.key }.map { name, values in
          (name, .string(Data(values.flatMap { [UInt8(truncatingIfNeeded: $0.bits), UInt8($0.bits >> 8)] }).base64EncodedString()))
        }))
  }

  /// Measures a model's files and chooses what stays in 16 bits while the rest is NF4, its scales searched for the inputs that the rows bring. The
  /// same files give the same choice on every run on a device; another device may differ where two layers are all but equal.
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

  /// The least that a table says: what `scheme(recordedIn:)` reads.
  package static func table(of scheme: FourBitScheme) -> [UInt8] {
    let rows = scheme.kept.sorted().map { JSON.object(JSONObject([("module", .string($0)), ("kept", .bool(true))])) }
    return bytes(.object(JSONObject([("modules", .array(rows)), ("input_squares", json(scheme.inputSquares))])))
  }

  /// What the table in a folder says; nil where there is none.
  /// - Throws: where it is none.
  package static func scheme(recordedIn folder: String) throws -> FourBitScheme? {
    let path = Files.join(folder, fileName)
    guard Files.exists(path) else { return nil }
    func wanted(_ what: String) -> CheckpointError {
      CheckpointError(path, what + ": remove the file, and the layers are measured again")
    }
    let table = try ConfigFile.object(path)
    guard let rows = table["modules"]?.array else { throw wanted("a table with \"modules\" is wanted") }
    let kept: [String] = try rows.compactMap { row in
      guard let module = row["module"]?.string, let isKept = row["kept"]?.bool else {
        throw wanted("each of \"modules\" wants \"module\" and \"kept\"")
      }
      return isKept ? module : nil
    }
    var scheme = FourBitScheme(keeping: Set(kept))
    guard let squares = table["input_squares"] else { return scheme }
    guard let layers = squares.object else { throw wanted("\"input_squares\" by the names of weights are wanted") }
    for index in 0..<layers.count {
      let (name, value) = layers.pair(at: index)
      guard let bytes = value.string.flatMap({ Data(base64Encoded: $0) }), bytes.count.isMultiple(of: 2) else {
        throw wanted("\"input_squares\" of \(name) are not base64 of bfloat16")
      }
      scheme.inputSquares[name] = stride(from: 0, to: bytes.count, by: 2).map {
        BFloat16(bits: UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8)
      }
    }
    return scheme
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

  /// - Throws: where a path or a width is not of this model: a table of another.
  func check(_ scheme: FourBitScheme, _ shapes: CausalLM) throws {
    let coded = Self.coded(shapes)
    let paths = coded.map { $0.name.split(separator: ".").dropLast().joined(separator: ".") }
    let isKnown = { (name: String) in paths.contains { $0 == name || $0.hasPrefix(name + ".") } }
    if let strange = scheme.kept.sorted().first(where: { !isKnown($0) }) {
      throw CheckpointError(
        folder,
        "\(FourBitChoice.fileName) keeps \(strange) in 16 bits, and the model has no such linear layer: is it another model's table?")
    }
    let widths = Dictionary(coded.map { ($0.name, $0.shape.columns) }, uniquingKeysWith: { first, _ in first })
    let squares = scheme.inputSquares.sorted { $0.key < $1.key }
    guard let (name, values) = squares.first(where: { widths[$0.key] != $0.value.count }) else { return }
    let found = widths[name].map { "\($0) inputs" } ?? "no such linear layer"
    throw CheckpointError(
      folder,
      "\(FourBitChoice.fileName) weighs \(values.count) inputs of \(name), and the model has \(found): is it another model's table?")
  }
}
