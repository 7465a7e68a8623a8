import SwiftletCPU
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore

/// Loads models from folders, with or without an adapter.
public enum ModelLoader {
  /// Loads a model.
  /// - Parameters:
  ///   - folder: a folder in Hugging Face layout, or a GGUF file; or a folder that holds only an adapter, whose config names the base.
  ///   - weights: precision of the base's weights in memory.
  ///   - device: where the model lies and computes.
  ///   - adapter: a folder with a PEFT adapter to put on top.
  ///   - placing: changes where parts of the model go.
  ///   - resolve: turns the base model's name in an adapter config into a folder; by default a path, also one beside the adapter.
  public static func load(
    _ folder: String, as weights: WeightPrecision = .stored, on device: Device = .cpu, adapter: String? = nil,
    resolve: ((String) throws -> String)? = nil,
    placing: (Placement) -> Placement = { $0 }
  ) throws -> CausalLM {
    let isAdapter = AdapterFile.exists(in: folder)
    guard Files.exists(Files.join(folder, "config.json")) || !isAdapter else {
      guard adapter == nil else { throw CheckpointError(folder, "a model is wanted, found an adapter; name its base model instead") }
      let model = try CheckpointReader(try base(of: folder, resolve)).model(weights, on: device, placing: placing)
      try AdapterFile.load(folder, into: model)
      return model
    }
    let model = try CheckpointReader(folder).model(weights, on: device, placing: placing)
    if let adapter = adapter ?? (isAdapter ? folder : nil) { try AdapterFile.load(adapter, into: model) }
    return model
  }

  /// The folder of the base model that an adapter folder's config names.
  public static func base(of adapter: String, _ resolve: ((String) throws -> String)? = nil) throws -> String {
    let config = try AdapterFile.config(adapter)
    guard let name = config.baseModel, !name.isEmpty else {
      throw CheckpointError(adapter, "adapter_config.json names no base model; give the base as MODEL and this folder as --adapter")
    }
    if let resolve { return try resolve(name) }
    let candidates = [name, Files.join(adapter, name), Files.join(adapter, "../" + name)]
    guard let found = candidates.first(where: { Files.exists(Files.join($0, "config.json")) || GGUFFile.isAt($0) }) else {
      throw CheckpointError(adapter, "the base model \"\(name)\" is not a folder here; give it as MODEL and this folder as --adapter")
    }
    return found
  }
}
