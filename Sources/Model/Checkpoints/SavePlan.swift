import SwiftletCPU
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore

/// Where the numbers of weights that nobody trained come from: the folder that the model was loaded from, which may hold them in more bits than
/// memory does (QLoRA), or memory.
final class BaseWeights {
  private let source: CheckpointReader?
  // What was read before: its pages go back to the system, or a whole file would lie in memory by and by.
  private var last: (parameter: Parameter, view: Storage?)?

  /// - Parameter folder: a model folder; nil, or one without a model, takes what is in memory.
  init(_ folder: String?) throws {
    source = try folder.flatMap { Files.exists(Files.join($0, "config.json")) || GGUFFile.isAt($0) ? try CheckpointReader($0) : nil }
  }

  /// Weights that were trained or replaced since they were loaded are the model's own.
  private func isOwn(_ parameter: Parameter) -> Bool { parameter.isTrainable || parameter.version > 0 }

  private func isStored(_ parameter: Parameter) -> Bool {
    // Codes are no numbers to merge onto: the model's own are, which came from them.
    guard let source, !isOwn(parameter), source.shape(parameter.name) == parameter.shape.dimensions, !source.isQuantized(parameter.name)
    else { return false }
    return source.format(parameter.name)?.isFloat == true
  }

  /// The numbers as stored. Those asked for before are read again from the disk where someone still looks at them.
  func tensor(_ parameter: Parameter) throws -> Tensor {
    if let last, last.parameter !== parameter {
      last.view?.releasePages()
      last.parameter.releasePages()
    }
    let tensor = try number(parameter)
    last = (parameter, tensor.storage.isView ? tensor.storage : nil)
    return tensor
  }

  private func number(_ parameter: Parameter) throws -> Tensor {
    if isStored(parameter), let source { return try source.tensor(parameter.name) }
    return parameter.hostValue
  }

  /// Their format, found without reading them; that of the files, or float32, where the model has only shapes.
  func dtype(_ parameter: Parameter) -> DType {
    if isStored(parameter), let dtype = source?.format(parameter.name) { return dtype }
    return parameter.isTrainable ? .float32 : parameter.dtype ?? .float32
  }

  /// The format of the source's matrices; nil without a source.
  var storedFormat: DType? { source?.storedFormat }
}

/// Which tensors a saved model has and how each is made.
final class SavePlan {
  /// A weight under its name in Hugging Face files.
  struct Weight {
    let name: String
    let shape: Shape
    /// What it is stored as where it is dense.
    let dtype: DType
    let parameter: Parameter
    let adapter: LoRAAdapter?
    let module: any Module
    /// Whether it is the matrix of a linear layer inside of a block, no router: what 4-bit checkpoints code.
    let isInner: Bool
  }

  private(set) var weights: [Weight] = []
  private(set) var config: JSONObject
  /// Weights that the adapter changed.
  var changed = 0
  /// Largest |written − exact| so far.
  var largestRounding: Float = 0
  let isMerge: Bool
  let source: BaseWeights
  private let format: WeightFormat?
  /// Whether the family's files hold a layer's experts in one tensor.
  let stacksExperts: Bool

  init(_ model: CausalLM, _ options: ModelFile.Options) throws {
    config = model.config.json
    isMerge = model.lora != nil
    source = try BaseWeights(options.source)
    format = options.format
    stacksExperts = try ModelRegistry.expertLayout(of: model.config) == .interleaved
    let isTied = model.savesTied
    for module in model.modules where !(isTied && module === model.head) {
      for parameter in module.parameters { add(parameter, module, model) }
    }
    describe(model, isTied: isTied)
  }

  private func add(_ parameter: Parameter, _ module: any Module, _ model: CausalLM) {
    let isWeight = parameter === module.parameters.first
    if parameter.isTrainable && isMerge { changed += 1 }
    weights.append(
      Weight(
        name: "\(module.path).\(parameter.name.split(separator: ".").last ?? "weight")", shape: parameter.shape,
        dtype: format?.dtype ?? source.dtype(parameter), parameter: parameter, adapter: isWeight ? module.adapter : nil, module: module,
        isInner: isWeight && module is Linear && module !== model.head && !module.isRouter))
  }

  /// How a dense weight is written.
  func entry(_ weight: Weight) -> TensorEntry {
    TensorEntry(name: weight.name, shape: weight.shape, dtype: weight.dtype) { try self.dense(weight, weight.dtype) }
  }

  /// Every weight as it is written where all are dense: experts stacked where the family's files have them so.
  var entries: [TensorEntry] {
    guard stacksExperts else { return weights.map(entry) }
    var stacking = ExpertStacking()
    let others = weights.filter { weight in
      guard let place = ExpertPlace(weight.name) else { return true }
      stacking.add(place, weight.shape, weight.dtype) { try self.dense(weight, $0) }
      return false
    }
    return others.map(entry) + stacking.entries
  }

  /// The numbers with the adapter merged in: float32 with an adapter, else as stored.
  func exact(_ weight: Weight) throws -> Tensor {
    let base = try source.tensor(weight.parameter)
    return weight.adapter?.merged(base, isEmbedding: weight.module is Embedding) ?? base
  }

  /// The tensor as it is stored, with what rounding and adapter did to it noted.
  private func dense(_ weight: Weight, _ dtype: DType) throws -> Tensor {
    let exact = try exact(weight)
    let written = exact.dtype == dtype ? exact : exact.converted(to: dtype, part: .workspace)
    try Finite.check(written, weight.name)
    if exact.dtype != dtype { largestRounding = max(largestRounding, written.largestDifference(from: exact)) }
    if weight.adapter != nil {
      let base = try source.tensor(weight.parameter).converted(to: dtype, part: .workspace)
      if written.largestDifference(from: base) > 0 { changed += 1 }
    }
    return written
  }

  private func describe(_ model: CausalLM, isTied: Bool) {
    let dtypes = Set(weights.map(\.dtype))
    if let dtype = dtypes.count == 1 ? dtypes.first : .float32 {
      if config["torch_dtype"] != nil { config["torch_dtype"] = .string(dtype.rawValue) }
      if config["dtype"] != nil || config["torch_dtype"] == nil { config["dtype"] = .string(dtype.rawValue) }
    }
    if model.decoder.isTied && !isTied { config["tie_word_embeddings"] = .bool(false) }
    config["quantization_config"] = nil
  }
}

extension CausalLM {
  /// Whether table and head can be saved as one: a tied pair of which one side was trained alone is no pair any more.
  var savesTied: Bool { decoder.isTied && head.weight === embedding.weight && head.adapter == nil && embedding.adapter == nil }
}

extension Module {
  /// Whether it chooses experts.
  var isRouter: Bool { Placement.isRouter(path) }
}
