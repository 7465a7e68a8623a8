import SwiftletCPU
import SwiftletFormats
import SwiftletTensorCore

/// The tensors of one or more safetensors files, mapped and found by name.
package final class StoredTensors {
  private struct Place {
    let file: MappedFile
    let format: String
    let shape: [Int]
    let bytes: Range<Int>
  }

  private var places: [String: Place] = [:]
  /// Names of each file's tensors, files in order.
  private(set) var shards: [(file: String, names: [String])] = []

  /// One file.
  package init(file: String) throws { try add(file, name: file) }

  /// The tensors of a model folder: one file, or the shards of an index.
  init(model folder: String) throws {
    let single = FolderFiles.join(folder, "model.safetensors")
    let index = FolderFiles.join(folder, "model.safetensors.index.json")
    if FolderFiles.exists(index) {
      for file in try Self.shardFiles(index) { try add(FolderFiles.join(folder, file), name: file) }
    } else if FolderFiles.exists(single) {
      try add(single, name: "model.safetensors")
    }
  }

  package var names: [String] { places.keys.sorted() }
  package func shape(_ name: String) -> [Int]? { places[name]?.shape }

  private static func shardFiles(_ index: String) throws -> [String] {
    guard let map = try FolderFiles.object(index)["weight_map"]?.object else {
      throw CheckpointError(index, "field \"weight_map\": an object is wanted")
    }
    var files = Set<String>()
    for (name, file) in map {
      guard let file = file.string, !file.isEmpty, !file.contains("/"), file != ".." else {
        throw CheckpointError(index, "field \"weight_map.\(name)\": the name of a file in this folder is wanted")
      }
      files.insert(file)
    }
    return files.sorted()
  }

  private func add(_ path: String, name: String) throws {
    let file = try MappedFile(path: path, minimumCount: 8)
    let length = Int(exactly: UInt64(littleEndian: file.pointer.loadUnaligned(as: UInt64.self))) ?? .max
    guard length <= min(file.count - 8, 100_000_000) else { throw CheckpointError(path, "a header of \(length) bytes does not fit") }
    let header = try JSON(parsing: UnsafeRawBufferPointer(start: file.pointer + 8, count: length))
    guard let entries = header.object else { throw CheckpointError(path, "the header is no object") }
    var names: [String] = []
    for (key, value) in entries where key != "__metadata__" {
      guard let format = value["dtype"]?.string, let shape = value["shape"]?.array?.compactMap(\.int),
        let offsets = value["data_offsets"]?.array?.compactMap(\.int), offsets.count == 2, offsets[0] >= 0, offsets[0] <= offsets[1],
        offsets[1] <= file.count - 8 - length, shape.allSatisfy({ $0 >= 0 })
      else { throw CheckpointError(path, "the header's entry \"\(key)\" makes no sense") }
      guard places[key] == nil else { throw CheckpointError(path, "tensor \"\(key)\" is in two files") }
      places[key] = Place(file: file, format: format, shape: shape, bytes: 8 + length + offsets[0]..<8 + length + offsets[1])
      names.append(key)
    }
    shards.append((name, names))
  }

  /// A tensor, as a view of the file where its alignment allows.
  package func tensor(_ name: String) throws -> Tensor {
    guard let place = places[name] else { throw CheckpointError(name, "no such tensor") }
    let known: [String: DType] = [
      "F32": .float32, "F16": .float16, "BF16": .bfloat16, "I64": .int64, "I32": .int32, "I8": .int8, "U8": .uint8,
    ]
    guard let dtype = known[place.format] else {
      throw CheckpointError(name, "stored as \(place.format): F32, BF16 or F16 is wanted")
    }
    let shape = Shape(place.shape)
    guard shape.count * dtype.size == place.bytes.count else {
      throw CheckpointError(name, "shape \(shape) and size \(place.bytes.count) differ")
    }
    let start = UnsafeMutableRawPointer(mutating: place.file.pointer + place.bytes.lowerBound)
    let view = Tensor(Storage(viewing: start, byteCount: place.bytes.count, owner: place.file), shape: shape, dtype: dtype)
    return Int(bitPattern: start) % dtype.size == 0 ? view : view.copied(part: .weights)
  }
}
