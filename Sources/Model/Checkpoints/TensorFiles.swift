import SwiftletFormats
import SwiftletTensorCore

/// A tensor to write: described first, made when its turn comes, so that only one is in memory.
package struct TensorEntry {
  let name: String
  let shape: Shape
  let dtype: DType
  let make: () throws -> Tensor

  /// A tensor that `make` gives in the format and shape said.
  package init(name: String, shape: Shape, dtype: DType, make: @escaping () throws -> Tensor) {
    (self.name, self.shape, self.dtype, self.make) = (name, shape, dtype, make)
  }

  fileprivate var plan: SafetensorsPlan { SafetensorsPlan(name: name, dtype: dtype.safetensors, shape: shape.dimensions) }
}

/// Writes safetensors files, whole or not at all.
package enum TensorFiles {
  /// Writes one file and returns the CRC-32C of each tensor's bytes.
  @discardableResult
  package static func write(_ entries: [TensorEntry], to path: String) throws -> [String: UInt32] {
    let writer = try SafetensorsWriter(path, tensors: entries.map(\.plan))
    let checksums = try append(entries) { try writer.append($0) }
    try writer.finish()
    return checksums
  }

  /// Writes `name.safetensors`, or shards of at most `limit` bytes with an index. Tensors of a group stay in one file.
  /// - Parameter aligns: sorts each file as Hugging Face's library does, wide formats first.
  static func writeShards(_ groups: [[TensorEntry]], to folder: String, name: String, limit: Int, aligns: Bool = false) throws
    -> [String: UInt32]
  {
    var shards = try SafetensorsShardedWriter.shards(of: groups.map { $0.map(\.plan) }, maxShardBytes: limit, folder: folder)
    if aligns { shards = shards.map(SafetensorsPlan.aligned) }
    let entries = Dictionary(groups.flatMap(\.self).map { (ExactString($0.name), $0) }) { first, _ in first }
    let writer = try SafetensorsShardedWriter(folder: folder, stem: name, shards: shards)
    let checksums = try append(shards.flatMap(\.self).compactMap { entries[ExactString($0.name)] }) { try writer.append($0) }
    try writer.finish()
    return checksums
  }

  private static func append(_ entries: [TensorEntry], _ write: (UnsafeRawBufferPointer) throws -> Void) throws -> [String: UInt32] {
    var checksums: [String: UInt32] = [:]
    for entry in entries {
      let tensor = try entry.make()
      precondition(tensor.dtype == entry.dtype && tensor.shape == entry.shape, "\(entry.name): made otherwise than described")
      try tensor.withBytes(write)
      checksums[entry.name] = tensor.checksum
    }
    return checksums
  }
}
