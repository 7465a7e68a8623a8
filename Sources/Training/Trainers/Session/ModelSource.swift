import SwiftletCPU
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore

/// Where a recipe's model comes from, and how it is saved.
struct ModelSource {
  /// The folder of `model.source`; nil for random weights.
  let folder: String?
  /// The folder with tokenizer files; nil where there is none.
  let tokenizer: String?
  let config: ModelConfig
  private let configFile: String?
  /// Where the model is made.
  let device: Device
  /// With `dynamic4bit`, what stays in 16 bits, and how the rest is coded; nil until that is known.
  var fourBit: FourBitScheme?

  /// - Throws: where the folder or config cannot be used.
  init(_ recipe: Recipe, on device: Device = .cpu, resolve: (String) throws -> String) throws {
    self.device = device
    if let source = recipe.model.source {
      let folder = try resolve(source)
      self.folder = folder
      configFile = nil
      config = try CheckpointReader(folder).config
      tokenizer = recipe.model.tokenizer ?? folder
    } else {
      let path = recipe.model.config ?? ""
      folder = nil
      configFile = path
      config = try ModelConfig(parsing: String(decoding: Files.read(path), as: UTF8.self), file: path)
      tokenizer = recipe.model.tokenizer ?? Files.parent(of: path)
    }
  }

  /// The precision in which the base is loaded. The blocks of a GGUF file are frozen: what is to be trained itself starts at their numbers.
  private func precision(_ recipe: Recipe) -> WeightPrecision {
    let isCoded = recipe.adapter == nil && recipe.model.weights == .stored && folder.map(GGUFFile.isAt) == true
    return isCoded ? .float32 : recipe.model.weights
  }

  /// The format in which a GPU computes where the recipe says `stored`; float32 for random weights.
  func computeFormat(_ recipe: Recipe) -> DType {
    if let chosen = precision(recipe).format { return chosen.dtype }
    return folder.flatMap { try? CheckpointReader($0).computeFormat } ?? .float32
  }

  /// What a log calls it.
  var name: String { folder ?? "\(configFile ?? "") (random weights)" }

  /// The longest row in tokens.
  func contextLength(_ recipe: Recipe) throws -> Int {
    let longest = try ModelRegistry.shapes(config: config).decoder.maxPositions
    guard let wanted = recipe.model.contextLength else { return longest }
    return wanted
  }

  /// The model with what is to be trained trainable, from a checkpoint of the run where there is one.
  func model(_ recipe: Recipe, checkpoint: String?) throws -> CausalLM {
    let seed = UInt64(bitPattern: Int64(recipe.plan.seed))
    guard let adapter = recipe.adapter else {
      let saved = try checkpoint.map { try ModelLoader.load($0, as: recipe.model.weights, on: device) }
      let model = try saved ?? base(recipe, seed)
      try model.makeAllTrainable()
      return model
    }
    let model = try base(recipe, seed)
    if let start = checkpoint ?? adapter.start {
      try AdapterFile.load(start, into: model)
    } else if let lora = adapter.lora {
      try model.add(lora, seed: seed)
    }
    return model
  }

  private func base(_ recipe: Recipe, _ seed: UInt64) throws -> CausalLM {
    if let folder {
      return try ModelLoader.load(
        folder, as: precision(recipe), on: device, placing: { recipe.memory.applied(to: $0).coding(by: fourBit) })
    }
    return try ModelRegistry.make(
      config: config, source: .random(seed: seed),
      placement: recipe.memory.applied(to: recipe.model.weights.placement(on: device, stored: .float32)))
  }

  /// The model with what is to be trained trainable, its numbers drawn where `placement` says: on a simulated GPU nothing is drawn.
  func simulated(_ recipe: Recipe, _ placement: Placement) throws -> CausalLM {
    var placement = placement.coding(by: fourBit)
    if let folder {
      let reader = try CheckpointReader(folder)
      placement.vectorTypes = reader.vectorTypes
      if precision(recipe).format == nil { placement.codedFormats = reader.codedFormats }
    }
    return try prepared(ModelRegistry.make(config: config, source: .random(seed: 0), placement: placement), recipe)
  }

  /// The same model from shapes only, adapter and all.
  func shapes(_ recipe: Recipe) throws -> CausalLM {
    try prepared(ModelRegistry.shapes(config: config), recipe)
  }

  /// The model with what is to be trained trainable, where its numbers do not matter.
  private func prepared(_ model: CausalLM, _ recipe: Recipe) throws -> CausalLM {
    guard let adapter = recipe.adapter else {
      try model.makeAllTrainable()
      return model
    }
    let lora = try adapter.start.map { try AdapterFile.config($0).lora } ?? adapter.lora
    if let lora { try model.add(lora) }
    return model
  }

  /// Bytes of each parameter in memory on the CPU, frozen, to be asked one by one; float32 for random weights.
  func storedBytes(_ recipe: Recipe) throws -> (Parameter) -> Int {
    if let chosen = recipe.model.weights.format { return { chosen.dtype.size * $0.shape.count } }
    let reader = try folder.map { try CheckpointReader($0) }
    let coded = try codedFormats(recipe, stored: reader?.codedFormats ?? [:])
    return { parameter in
      if let format = coded[parameter.name] { return QuantizedMatrix.byteCount(parameter.shape, format) }
      return (reader?.format(parameter.name) ?? .float32).size * parameter.shape.count
    }
  }

  /// How matrices are coded in memory on the CPU, by name: as asked for, but what is stored in no more bits stays.
  private func codedFormats(_ recipe: Recipe, stored: [String: QuantizationFormat]) throws -> [String: QuantizationFormat] {
    let placement = recipe.model.weights.placement(on: .cpu).coding(by: fourBit)
    var formats = stored.filter { $0.value.isBlocks }
    for (path, linear) in try ModelRegistry.shapes(config: config).linears {
      let (asked, own) = (placement.quantization(of: path), stored[linear.weight.name])
      let stays = own.map { asked?.isFourBit != true || $0.isFourBit } ?? false
      formats[linear.weight.name] = stays ? own : asked
    }
    return formats
  }
}

extension ModelSource {
  /// What the recipe trains, in float32, so that a resumed run has the same bits: a PEFT adapter, or a model in Hugging Face layout.
  static func saveTrained(_ model: CausalLM, _ recipe: Recipe, to folder: String) throws {
    if model.lora != nil {
      try AdapterFile.save(model, to: folder, baseModel: recipe.model.source)
    } else {
      try ModelFile.save(model, to: folder, ModelFile.Options(format: .float32))
    }
  }

  /// The result: the adapter, or the model in the format of `saving.weights` (the source's own where it says `stored`).
  func saveFinal(_ model: CausalLM, _ recipe: Recipe, to folder: String) throws {
    if model.lora != nil { return try ModelSource.saveTrained(model, recipe, to: folder) }
    try ModelFile.save(model, to: folder, ModelFile.Options(format: finalFormat(recipe)))
  }

  func finalFormat(_ recipe: Recipe) -> WeightFormat? {
    if let chosen = recipe.saving.weights.format { return chosen }
    let stored = (try? config.string("dtype")) ?? (try? config.string("torch_dtype"))
    return stored.flatMap(WeightFormat.init(rawValue:)) ?? .float32
  }
}
