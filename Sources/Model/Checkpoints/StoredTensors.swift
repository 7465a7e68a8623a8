import SwiftletCPU
import SwiftletFormats
import SwiftletOps
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

extension Tensor {
  /// The tensor itself where its bytes lie as its numbers want them, else a copy: files promise no alignment.
  var aligned: Tensor {
    guard Int(bitPattern: storage.pointer + byteOffset) % dtype.size != 0 else { return self }
    defer { storage.releasePages() }
    return copied(part: .weights)
  }
}

/// The weights of a model under their names in Hugging Face files, however they are stored.
protocol WeightFile: AnyObject {
  /// All names, sorted.
  var names: [String] { get }
  /// The sizes of a tensor; nil where there is none of this name.
  func shape(_ name: String) -> [Int]?
  /// The format of a tensor in memory, found without reading it; nil where there is none of this name, or tensors have none like it.
  func format(_ name: String) -> DType?
  /// A tensor; what is stored in blocks of codes as float32.
  func tensor(_ name: String) throws -> Tensor
  /// Names of the tensors that belong to a quantised one; none for a dense one.
  func companions(of name: String) -> [String]
  /// A tensor as it is coded; nil where it is dense.
  func matrix(_ name: String, shape: Shape) throws -> QuantizedMatrix?
  /// How it is coded, found without reading or checking it; nil where it is dense.
  func codedFormat(_ name: String) -> QuantizationFormat?
}

extension WeightFile {
  /// Nothing is quantised.
  func companions(of name: String) -> [String] { [] }
  /// Nothing is quantised.
  func matrix(_ name: String, shape: Shape) throws -> QuantizedMatrix? { nil }
  /// Nothing is quantised.
  func codedFormat(_ name: String) -> QuantizationFormat? { nil }
  /// Whether `name` is stored quantised.
  func isQuantized(_ name: String) -> Bool { !companions(of: name).isEmpty }
}

/// The tensors of one safetensors file or of a model's shards, as tensors that look into the mapped files.
package final class StoredTensors: WeightFile {
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

  /// The format of a tensor; nil where there is none of this name, or tensors have none like it.
  func format(_ name: String) -> DType? { (stored?[name]?.entry.dtype).flatMap { DType($0) } }

  /// The format that the file names; nil where there is none of this name.
  func fileFormat(_ name: String) -> SafetensorsDType? { stored?[name]?.entry.dtype }

  /// The bytes of a tensor in whatever format, one uint8 each, as a view of the file.
  /// - Throws: where there is none of this name.
  func octets(_ name: String) throws -> Tensor {
    guard let (file, entry) = try stored?.tensor(name) else { throw CheckpointError(name, "no such tensor") }
    let bytes = file.bytes(of: entry)
    guard let start = UnsafeMutableRawPointer(mutating: bytes.baseAddress), !bytes.isEmpty else {
      return Tensor(uninitialized: [0], .uint8, part: .weights)
    }
    return Tensor(Storage(viewing: start, byteCount: bytes.count, owner: file.mapped), shape: [bytes.count], dtype: .uint8)
  }

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
    let view = Tensor(Storage(viewing: start, byteCount: bytes.count, owner: file.mapped), shape: Shape(entry.shape), dtype: dtype)
    return view.aligned
  }
}
