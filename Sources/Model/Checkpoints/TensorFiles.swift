import Foundation
import SwiftletCPU
import SwiftletFormats
import SwiftletTensorCore

/// A tensor to write: described first, made when its turn comes, so that only one is in memory.
package struct TensorEntry {
  let name: String
  let shape: Shape
  let dtype: DType
  let make: () throws -> Tensor

  package init(name: String, shape: Shape, dtype: DType, make: @escaping () throws -> Tensor) {
    (self.name, self.shape, self.dtype, self.make) = (name, shape, dtype, make)
  }

  var byteCount: Int { shape.count * dtype.size }
}

/// Writes safetensors files, whole or not at all.
package enum TensorFiles {
  private static let formats: [DType: String] = [
    .float32: "F32", .bfloat16: "BF16", .float16: "F16", .int64: "I64", .int32: "I32", .int8: "I8", .uint8: "U8",
  ]

  /// Writes one file and returns the CRC-32C of each tensor's bytes.
  @discardableResult
  package static func write(_ entries: [TensorEntry], to path: String) throws -> [String: UInt32] {
    var checksums: [String: UInt32] = [:]
    var header = JSONObject([("__metadata__", .object(JSONObject([("format", .string("pt"))])))])
    var at = 0
    for entry in entries {
      header[entry.name] = .object(
        JSONObject([
          ("dtype", .string(formats[entry.dtype] ?? "F32")), ("shape", .array(entry.shape.dimensions.map { .int($0) })),
          ("data_offsets", .array([.int(at), .int(at + entry.byteCount)])),
        ]))
      at += entry.byteCount
    }
    var text = Array(JSON.object(header).serialized().utf8)
    while text.count % 64 != 56 { text.append(UInt8(ascii: " ")) }
    try AtomicFile.write(path) { writer in
      try withUnsafeBytes(of: UInt64(text.count).littleEndian) { try writer.write($0) }
      try text.withUnsafeBytes { try writer.write($0) }
      for entry in entries {
        let tensor = try entry.make()
        precondition(tensor.dtype == entry.dtype && tensor.shape == entry.shape, "\(entry.name): made otherwise than described")
        try withExtendedLifetime(tensor.storage) {
          try writer.write(UnsafeRawBufferPointer(start: tensor.storage.pointer + tensor.byteOffset, count: tensor.byteCount))
        }
        checksums[entry.name] = tensor.checksum
      }
    }
    return checksums
  }

  /// Writes `name.safetensors`, or shards of at most `limit` bytes with an index.
  static func writeShards(_ entries: [TensorEntry], to folder: String, name: String, limit: Int) throws -> [String: UInt32] {
    let shards = split(entries, limit: limit)
    guard shards.count > 1 else { return try write(entries, to: FolderFiles.join(folder, "\(name).safetensors")) }
    var map = JSONObject()
    var checksums: [String: UInt32] = [:]
    for (index, shard) in shards.enumerated() {
      let file = "\(name)-\(padded(index + 1))-of-\(padded(shards.count)).safetensors"
      checksums.merge(try write(shard, to: FolderFiles.join(folder, file))) { first, _ in first }
      for entry in shard { map[entry.name] = .string(file) }
    }
    let total = entries.reduce(0) { $0 + $1.byteCount }
    let index = JSONObject([("metadata", .object(JSONObject([("total_size", .int(total))]))), ("weight_map", .object(map))])
    try FolderFiles.write(.object(index), to: FolderFiles.join(folder, "\(name).safetensors.index.json"))
    return checksums
  }

  private static func split(_ entries: [TensorEntry], limit: Int) -> [[TensorEntry]] {
    var shards: [[TensorEntry]] = [[]]
    var bytes = 0
    for entry in entries {
      if bytes > 0 && bytes + entry.byteCount > limit {
        shards.append([])
        bytes = 0
      }
      shards[shards.count - 1].append(entry)
      bytes += entry.byteCount
    }
    return shards
  }

  private static func padded(_ number: Int) -> String { String(repeating: "0", count: max(0, 5 - String(number).count)) + String(number) }
}
