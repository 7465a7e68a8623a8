import SwiftletCPU
import SwiftletFormats
import SwiftletTensorCore

extension DType {
  /// The format in safetensors files.
  var safetensors: SafetensorsDType {
    switch self {
    case .float32: .f32
    case .float16: .f16
    case .bfloat16: .bf16
    case .int64: .i64
    case .int32: .i32
    case .int8: .i8
    case .uint8: .u8
    }
  }

  /// The format of a safetensors entry; nil where tensors have none like it.
  init?(_ stored: SafetensorsDType) {
    guard let dtype = Self.allCases.first(where: { $0.safetensors == stored }) else { return nil }
    self = dtype
  }
}

/// The tensors of one safetensors file or of a model's shards, as tensors that look into the mapped files.
package final class StoredTensors {
  private let stored: SafetensorsShards?

  /// One file.
  package init(file: String) throws { stored = try SafetensorsShards(file: file) }

  /// The tensors of a model folder: one file, or the shards of an index; none where the folder has neither.
  init(model folder: String) throws {
    let files = ["model.safetensors", "model.safetensors.index.json"]
    let isThere = files.contains { Files.exists(Files.join(folder, $0)) }
    stored = isThere ? try SafetensorsShards(folder: folder) : nil
  }

  /// All names, sorted.
  package var names: [String] { (stored?.names ?? []).sorted() }

  /// The sizes of a tensor; nil where there is none of this name.
  package func shape(_ name: String) -> [Int]? { stored?[name]?.entry.shape }

  /// A tensor: a view of the file where its alignment allows, else a copy.
  /// - Throws: where there is none of this name, or its format is none of tensors'.
  package func tensor(_ name: String) throws -> Tensor {
    guard let (file, entry) = try stored?.tensor(name) else { throw CheckpointError(name, "no such tensor") }
    guard let dtype = DType(entry.dtype) else {
      throw CheckpointError(file.path, "tensor \"\(name)\" is stored as \(entry.dtype.rawValue): F32, BF16 or F16 is wanted")
    }
    let bytes = file.bytes(of: entry)
    guard let start = UnsafeMutableRawPointer(mutating: bytes.baseAddress), !bytes.isEmpty else {
      return Tensor(uninitialized: Shape(entry.shape), dtype, part: .weights)
    }
    let view = Tensor(Storage(viewing: start, byteCount: bytes.count, owner: file), shape: Shape(entry.shape), dtype: dtype)
    return Int(bitPattern: start) % dtype.size == 0 ? view : view.copied(part: .weights)
  }
}
