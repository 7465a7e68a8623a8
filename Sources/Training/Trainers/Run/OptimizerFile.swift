import SwiftletCheckpoints
import SwiftletOptimizers
import SwiftletTensorCore

/// `optimizer.safetensors` of a checkpoint: every tensor of the optimizer's state, by name.
enum OptimizerFile {
  static let name = "optimizer.safetensors"

  static func save(_ optimizer: any Optimizer, to folder: String) throws {
    let entries = optimizer.state.map { item in
      TensorEntry(name: item.name, shape: item.tensor.shape, dtype: item.tensor.dtype) {
        item.tensor.moved(to: .cpu, part: .workspace)
      }
    }
    try TensorFiles.write(entries, to: folder + "/" + name)
  }

  /// Fills the optimizer's tensors.
  /// - Throws: `CheckpointDamage` where one is missing or of another shape.
  static func load(_ folder: String, into optimizer: any Optimizer) throws {
    let stored = try StoredTensors(file: folder + "/" + name)
    for (name, tensor) in optimizer.state {
      guard let shape = stored.shape(name) else { throw CheckpointDamage(path: folder, reason: "\(OptimizerFile.name) lacks \(name)") }
      let found = try stored.tensor(name)
      guard shape == tensor.shape.dimensions, found.dtype == tensor.dtype else {
        throw CheckpointDamage(
          path: folder,
          reason: "\(name) is \(found.dtype) \(found.shape), wanted \(tensor.dtype) \(tensor.shape): was the optimizer changed?")
      }
      tensor.copyElements(of: found)
    }
  }
}
