import SwiftletCPU
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore

/// Adapters in PEFT's layout: `adapter_config.json` and `adapter_model.safetensors`.
public enum AdapterFile {
  static let configName = "adapter_config.json"
  static let tensorsName = "adapter_model.safetensors"
  static let prefix = "base_model.model."

  /// Whether a folder holds an adapter.
  public static func exists(in folder: String) -> Bool { Files.exists(Files.join(folder, configName)) }

  /// Reads the config of an adapter folder.
  public static func config(_ folder: String) throws -> AdapterConfig {
    let path = Files.join(folder, configName)
    guard Files.exists(path) else {
      throw CheckpointError(folder, "\(configName) is missing: a folder with a PEFT adapter is wanted")
    }
    return try AdapterConfig(try ConfigFile.object(path), file: path)
  }

  /// Puts the adapter of a folder on `model` (which has none), trainable.
  /// - Throws: one error that lists every tensor that is missing, unexpected or of another shape.
  public static func load(_ folder: String, into model: CausalLM) throws {
    let path = Files.join(folder, tensorsName)
    guard Files.exists(path) else { throw CheckpointError(folder, "\(tensorsName) is missing") }
    let tensors = try StoredTensors(file: path)
    var lora = try config(folder).lora
    if case .names(let names) = lora.targets, names.isEmpty { lora.targets = .names(adaptedModules(tensors.names)) }
    try model.add(lora)
    try fill(model, tensors, path)
  }

  /// Modules that have an A in the file, for configs that do not say.
  private static func adaptedModules(_ names: [String]) -> [String] {
    [AdapterNames.linear.a, AdapterNames.embedding.a].flatMap { suffix in
      names.compactMap { name in
        guard name.hasPrefix(prefix), name.hasSuffix("." + suffix) else { return nil }
        let module = String(name.dropFirst(prefix.count).dropLast(suffix.count + 1))
        // Stacks of experts are no modules: the config names them.
        return ExpertAdapterTensors.isStack(module) ? nil : module
      }
    }
  }

  private static func fill(_ model: CausalLM, _ tensors: StoredTensors, _ path: String) throws {
    var problems = TensorProblems()
    var known = Set<String>()
    let stacks = ExpertAdapterTensors.all(model)
    for stack in stacks {
      for (name, wanted) in stack.shapes.map({ (prefix + $0.name, $0.shape) }) {
        known.insert(name)
        guard let shape = tensors.shape(name) else {
          problems.missing.append(name)
          continue
        }
        if shape != wanted.dimensions { problems.mismatched.append("\(name) (wanted \(wanted), found \(shape))") }
      }
    }
    for parameter in model.separateAdapterParameters {
      let name = prefix + parameter.name
      known.insert(name)
      guard let shape = tensors.shape(name) else {
        problems.missing.append(name)
        continue
      }
      guard shape == parameter.shape.dimensions else {
        problems.mismatched.append("\(name) (wanted \(parameter.shape), found \(shape))")
        continue
      }
      parameter.value = try tensors.tensor(name).converted(to: .float32, part: .adapter)
    }
    let base = try baseWeights(model, tensors, known)
    problems.unexpected = tensors.names.filter { !known.contains($0) && base[$0] == nil }
    try problems.check(path, "The adapter was made for another model or config.")
    for stack in stacks { try stack.read { try tensors.tensor(prefix + $0).converted(to: .float32, part: .adapter) } }
    for (name, parameter) in base { parameter.value = try tensors.tensor(name).converted(to: parameter.value.dtype) }
  }

  /// PEFT also saves the whole table or head where it is adapted: that copy counts.
  private static func baseWeights(_ model: CausalLM, _ tensors: StoredTensors, _ known: Set<String>) throws -> [String: Parameter] {
    var found: [String: Parameter] = [:]
    for module in model.modules where module === model.embedding || module === model.head {
      for name in [prefix + module.path + ".weight", prefix + module.path + ".base_layer.weight"] where !known.contains(name) {
        guard let shape = tensors.shape(name), let weight = module.parameters.first, shape == weight.shape.dimensions else { continue }
        found[name] = weight
      }
    }
    return found
  }

  /// Writes the adapter into `folder` (made where missing): each file whole or not at all, the config last.
  /// - Parameter baseModel: what `base_model_name_or_path` says.
  /// - Throws: where the model has no adapter, a number is not finite, or a file cannot be written.
  public static func save(_ model: CausalLM, to folder: String, baseModel: String?) throws {
    guard let lora = model.lora else { throw CheckpointError(folder, "the model has no adapter to save") }
    try Files.makeFolder(folder)
    var entries = model.separateAdapterParameters.map { parameter in
      TensorEntry(name: prefix + parameter.name, shape: parameter.shape, dtype: .float32) { parameter.hostValue.float32 }
    }
    entries += ExpertAdapterTensors.all(model).flatMap { stack in
      stack.shapes.map { name, shape in TensorEntry(name: prefix + name, shape: shape, dtype: .float32) { stack.tensor(name) } }
    }
    for entry in entries { try Finite.check(try entry.make(), entry.name) }
    try TensorFiles.write(entries.sorted { $0.name < $1.name }, to: Files.join(folder, tensorsName))
    let config = AdapterConfig.json(lora, baseModel: baseModel, targetModules: targetNames(model))
    try ConfigFile.write(config, to: Files.join(folder, configName))
  }

  /// Short names of the adapted modules where they say no more than that, else whole paths.
  private static func targetNames(_ model: CausalLM) -> [String] {
    // Experts in stacks are named as parameters.
    let stacked = Set(model.expertAdapters.flatMap(\.parameters).map(ObjectIdentifier.init))
    let adapted = model.modules.filter { $0.adapter.map { !stacked.contains(ObjectIdentifier($0.b)) } ?? false }.map(\.path)
    func leaf(_ path: String) -> String { path.split(separator: ".").last.map(String.init) ?? path }
    let leaves = Set(adapted.map(leaf))
    let others = model.modules.filter { $0.adapter == nil && !model.savedModules.contains($0.path) }.map(\.path)
    let isExact = model.lora?.layers.isEmpty == false || !others.contains { leaves.contains(leaf($0)) }
    return isExact ? leaves.sorted() : adapted.sorted()
  }
}

extension CausalLM {
  /// What an adapter file holds: the adapters' matrices and the modules trained whole.
  package var adapterFileParameters: [Parameter] {
    var seen = Set<ObjectIdentifier>()
    return modules.flatMap { module in
      (module.adapter?.parameters ?? []) + (savedModules.contains(module.path) ? module.parameters : [])
    }.filter { seen.insert(ObjectIdentifier($0)).inserted }
  }

  /// Those of them that stand in files as they are: all but those of stacked experts.
  fileprivate var separateAdapterParameters: [Parameter] {
    let stacked = Set(expertAdapters.flatMap(\.parameters).map(ObjectIdentifier.init))
    return adapterFileParameters.filter { !stacked.contains(ObjectIdentifier($0)) }
  }
}
