import SwiftletCPU
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore

/// A model folder in Hugging Face layout: its config, and its tensors mapped from `model.safetensors` or the shards of
/// `model.safetensors.index.json`; or a GGUF file, seen as such a folder. Nothing is read before it is used.
public final class CheckpointReader {
  /// The folder.
  public let folder: String
  /// `config.json`.
  public let config: ModelConfig
  /// The tensors; empty where the folder has none.
  let tensors: any WeightFile

  /// Opens a folder or a GGUF file.
  /// - Parameter configName: the config's file name.
  /// - Throws: where the folder, its config or its safetensors headers cannot be used.
  public init(_ folder: String, configName: String = "config.json") throws {
    self.folder = folder
    if GGUFFile.isAt(folder) {
      let file = try GGUFModel(folder)
      (config, tensors) = (file.config, file)
      return
    }
    let path = Files.join(folder, configName)
    guard Files.isFolder(folder) else { throw CheckpointError(folder, "a model folder in Hugging Face layout is wanted") }
    guard Files.exists(path) else {
      throw CheckpointError(folder, "\(configName) is missing: a folder in Hugging Face layout is wanted")
    }
    config = ModelConfig(try ConfigFile.object(path), file: path)
    let stored = try StoredTensors(model: folder)
    // A config that no model can be made from is refused when one is wanted, with its own error.
    let layout = (try? ModelRegistry.expertLayout(of: config)) ?? .separate
    tensors = layout == .interleaved ? try StackedExperts(stored) : stored
  }

  /// Names of all stored tensors, sorted.
  public var names: [String] { tensors.names }

  /// A tensor as stored: a view of the mapped file where the format and alignment allow; blocks of a GGUF file written out as float32.
  /// - Throws: where there is none of this name, or its format is not float32, bfloat16 or float16.
  public func tensor(_ name: String) throws -> Tensor { try tensors.tensor(name) }

  /// The format of a tensor, found without reading it; nil where there is none of this name.
  public func format(_ name: String) -> DType? { tensors.format(name) }

  /// The shape of a tensor; nil where there is none of this name.
  public func shape(_ name: String) -> [Int]? { tensors.shape(name) }

  /// Makes the model with the stored weights.
  /// - Parameters:
  ///   - weights: precision in memory. `dynamic4bit` measures first, unless `placing` says what is kept.
  ///   - device: where the model lies and computes.
  ///   - placing: changes where parts of it go.
  /// - Throws: one error that lists every tensor that is missing, unexpected or of another shape.
  public func model(_ weights: WeightPrecision = .stored, on device: Device = .cpu, placing: (Placement) -> Placement = { $0 }) throws
    -> CausalLM
  {
    let shapes = try checkedShapes()
    var placement = placing(weights.placement(on: device, stored: computeFormat))
    if weights == .dynamic4bit {
      try checkExact(shapes)
      if let scheme = placement.fourBit { try check(scheme, shapes) }
      placement.fourBit = try placement.fourBit ?? FourBitChoice(measuring: folder, on: device).scheme
    }
    let provider = StoredProvider(tensors, device.isCUDA ? nil : weights.format, isDense: weights.format != nil)
    let model = try ModelRegistry.make(config: config, source: .provider(provider), placement: placement)
    if let error = provider.error { throw error }
    // Slots of before may be free already while codes are still on their way; new ones are taken behind them.
    if device.isCUDA { forgetDequantizedSlots(on: device) }
    return model
  }

  /// The model without numbers, whose parameters are those of the files.
  func checkedShapes() throws -> CausalLM {
    try checkQuantization()
    if tensors.names.isEmpty { throw CheckpointError(folder, "model.safetensors or model.safetensors.index.json is missing") }
    let shapes = try ModelRegistry.shapes(config: config)
    try check(shapes)
    return shapes
  }

  /// The format of the first matrix of numbers in the files.
  public var storedFormat: DType {
    let matrix = tensors.names.lazy.first {
      (self.tensors.shape($0)?.count ?? 0) > 1 && self.tensors.format($0)?.isFloat == true && !self.tensors.isQuantized($0)
    }
    return matrix.flatMap { tensors.format($0) } ?? .float32
  }

  /// The format in which a GPU computes with the weights as they are stored: `storedFormat`, or bfloat16 where matrices are blocks.
  public var computeFormat: DType { names.contains { tensors.codedFormat($0)?.isBlocks == true } ? .bfloat16 : storedFormat }

  /// How each tensor that is stored in few bits is coded, found without reading it.
  public var codedFormats: [String: QuantizationFormat] {
    Dictionary(names.compactMap { name in tensors.codedFormat(name).map { (name, $0) } }, uniquingKeysWith: { first, _ in first })
  }

  /// The formats of all vectors.
  public var vectorTypes: [String: DType] {
    let vectors = names.filter { tensors.shape($0)?.count == 1 && tensors.format($0)?.isFloat == true }
    return Dictionary(vectors.compactMap { name in tensors.format(name).map { (name, $0) } }, uniquingKeysWith: { first, _ in first })
  }

  /// Whether a tensor is stored in few bits.
  func isQuantized(_ name: String) -> Bool { tensors.isQuantized(name) }

  // The tensors say what is quantised, and how; the config only rules out methods whose tensors are unknown.
  private func checkQuantization() throws {
    guard let quantization = try config.object("quantization_config") else { return }
    let method = try quantization.string("quant_method") ?? ""
    let known = ["bitsandbytes", "fp8", "fbgemm_fp8", "compressed-tensors", "modelopt", "mxfp4"]
    guard known.contains(method) else {
      throw config.error(
        "quantization_config.quant_method",
        "\"\(method)\" is unknown; float32, bfloat16, float16, bitsandbytes' 4-bit and int8, 8-bit floats and MXFP4 can be read")
    }
    if let size = try quantization.ints("weight_block_size", in: 1...(1 << 20)), size != [128, 128] {
      throw config.error("quantization_config.weight_block_size", "[128, 128] is wanted, found \(size)")
    }
  }

  private func check(_ model: CausalLM) throws {
    var problems = TensorProblems()
    var known = Set<String>()
    for parameter in model.parameters {
      known.insert(parameter.name)
      guard let shape = tensors.shape(parameter.name) else {
        problems.missing.append(parameter.name)
        continue
      }
      let companions = tensors.companions(of: parameter.name)
      known.formUnion(companions)
      // The parts of a quantised matrix are checked when it is read.
      if companions.isEmpty, shape != parameter.shape.dimensions {
        problems.mismatched.append("\(parameter.name) (wanted \(parameter.shape), found \(shape))")
      } else if companions.isEmpty, tensors.codedFormat(parameter.name) == nil, let format = tensors.format(parameter.name), !format.isFloat
      {
        problems.mismatched.append("\(parameter.name) (wanted float32, bfloat16 or float16, found \(format))")
      }
    }
    problems.unexpected = tensors.names.filter { !known.contains($0) && !isHarmless($0, model) }
    try problems.check(folder, "The config and the tensors do not belong together.")
  }

  /// Tied models may hold the head a second time, old files the rotary frequencies, 8-bit ones scales for a cache in 8 bits.
  private func isHarmless(_ name: String, _ model: CausalLM) -> Bool {
    (model.decoder.isTied && name == "lm_head.weight") || name.hasSuffix(".rotary_emb.inv_freq") || name.hasSuffix(".k_scale")
      || name.hasSuffix(".v_scale") || model.mayIgnore(name)
  }
}

/// A format for dense weights.
public enum WeightFormat: String, Codable, Sendable, CaseIterable {
  case float32, bfloat16, float16

  /// The tensor format.
  public var dtype: DType {
    switch self {
    case .float32: .float32
    case .bfloat16: .bfloat16
    case .float16: .float16
    }
  }

  /// The format of this `DType`; nil for integers.
  public init?(_ dtype: DType) { self.init(rawValue: dtype.rawValue) }
}

/// Gives parameters the stored tensors, keeping the first error.
final class StoredProvider: ParameterProvider {
  private let tensors: any WeightFile
  private let weights: WeightFormat?
  // Whether quantised matrices are wanted as numbers.
  private let isDense: Bool
  // Parameters that get no value.
  private let leftOut: Set<String>
  private(set) var error: (any Error)?

  init(_ tensors: any WeightFile, _ weights: WeightFormat?, isDense: Bool, leavingOut leftOut: Set<String> = []) {
    self.leftOut = leftOut
    self.tensors = tensors
    self.weights = weights
    self.isDense = isDense
  }

  func matrix(_ name: String, shape: Shape) -> QuantizedMatrix? {
    do {
      return isDense ? nil : try tensors.matrix(name, shape: shape)
    } catch {
      self.error = self.error ?? error
      return nil
    }
  }

  func tensor(_ name: String, shape: Shape) -> Tensor? {
    if leftOut.contains(name) { return nil }
    do {
      if let matrix = try tensors.matrix(name, shape: shape) { return matrix.dequantized(weights?.dtype ?? .float32, part: .weights) }
      let stored = try tensors.tensor(name)
      guard let dtype = weights?.dtype, dtype != stored.dtype else { return stored }
      defer { stored.storage.releasePages() }
      return stored.converted(to: dtype)
    } catch {
      self.error = self.error ?? error
      return nil
    }
  }
}
