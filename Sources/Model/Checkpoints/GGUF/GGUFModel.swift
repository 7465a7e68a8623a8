import SwiftletCPU
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore

/// A GGUF file seen as a model folder in Hugging Face layout: a config, and weights under their names there, with rows in their order.
///
/// F32, F16 and BF16 stay as they are; matrices in block formats can be had as they are coded, or written out in float32.
final class GGUFModel: WeightFile {
  /// What `config.json` would say.
  let config: ModelConfig
  private let file: GGUFFile
  private let family: GGUFArchitecture
  private let decoder: (heads: Int, keyValueHeads: Int)

  /// - Throws: where the file or its metadata cannot be used, naming the key.
  init(_ path: String) throws {
    file = try GGUFFile(path)
    let (family, json) = try GGUFConfig.read(file)
    self.family = family
    config = ModelConfig(json, file: path)
    decoder = (json["num_attention_heads"]?.int ?? 0, json["num_key_value_heads"]?.int ?? 0)
    // A tokenizer is no weight, and factors of positions stand in the config.
    let shapes = try ModelRegistry.shapes(config: config)
    var used = Set(["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"])
    var names: [String] = []
    for parameter in shapes.parameters {
      guard let place = family.place(of: parameter.name), file.tensor(place.tensor) != nil else { continue }
      used.insert(place.tensor)
      names.append(parameter.name)
    }
    self.names = (names + file.tensors.map(\.name).filter { !used.contains($0) }).sorted()
  }

  let names: [String]

  private func find(_ name: String) -> (tensor: GGUFTensor, expert: Int?)? {
    guard let place = family.place(of: name), let tensor = file.tensor(place.tensor) else { return nil }
    return (tensor, place.expert)
  }

  func shape(_ name: String) -> [Int]? {
    guard let (tensor, expert) = find(name) else { return nil }
    return expert == nil ? tensor.shape : Array(tensor.shape.dropFirst())
  }

  func format(_ name: String) -> DType? {
    guard let (tensor, _) = find(name) else { return nil }
    switch tensor.type {
    case .f16: return .float16
    case .bf16: return .bfloat16
    default: return .float32
    }
  }

  func tensor(_ name: String) throws -> Tensor {
    let (tensor, bytes, shape) = try part(name)
    let stored = try numbers(tensor, bytes, shape)
    defer { if family.isShifted(name) || family.isPermuted(name) { stored.storage.releasePages() } }
    if family.isShifted(name) { return shifted(stored) }
    return family.isPermuted(name) ? try unpermuted(stored, name) : stored
  }

  func codedFormat(_ name: String) -> QuantizationFormat? {
    guard let (tensor, _) = find(name), shape(name)?.count == 2, !family.isShifted(name),
      BlockCodec.numbers(tensor.type.rawValue) != nil
    else { return nil }
    return .blocks(tensor.type.rawValue)
  }

  func matrix(_ name: String, shape wanted: Shape) throws -> QuantizedMatrix? {
    guard let format = codedFormat(name) else { return nil }
    let (_, bytes, shape) = try part(name)
    guard shape == wanted, shape[0] > 0 else { throw CheckpointError(name, "a matrix \(wanted) is wanted, found \(shape)") }
    let codes = view(bytes, [shape[0], bytes.count / shape[0]], .uint8)
    return QuantizedMatrix(
      shape: shape, format: format, codes: family.isPermuted(name) ? try unpermuted(codes, name) : codes, scales: .amongCodes)
  }

  /// The tensor that holds `name`, its bytes and sizes: of a stack of experts one expert's.
  private func part(_ name: String) throws -> (tensor: GGUFTensor, bytes: UnsafeRawBufferPointer, shape: Shape) {
    guard let (tensor, expert) = find(name) else { throw CheckpointError(file.path, "no tensor for \"\(name)\"") }
    let (bytes, shape) = (file.bytes(of: tensor), tensor.shape)
    guard let expert else { return (tensor, bytes, Shape(shape)) }
    guard shape.count == 3, expert < shape[0] else { throw CheckpointError(file.path, "tensor \"\(tensor.name)\": no expert \(expert)") }
    let size = bytes.count / shape[0]
    return (tensor, UnsafeRawBufferPointer(rebasing: bytes[expert * size..<(expert + 1) * size]), Shape(Array(shape.dropFirst())))
  }

  private func numbers(_ tensor: GGUFTensor, _ bytes: UnsafeRawBufferPointer, _ shape: Shape) throws -> Tensor {
    switch tensor.type {
    case .f32: return view(bytes, shape, .float32)
    case .f16: return view(bytes, shape, .float16)
    case .bf16: return view(bytes, shape, .bfloat16)
    default:
      guard BlockCodec.numbers(tensor.type.rawValue) != nil else {
        throw CheckpointError(
          file.path,
          "tensor \"\(tensor.name)\" is stored as \(tensor.type); F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K … Q6_K and MXFP4 can be read")
      }
      let result = Tensor(uninitialized: shape, .float32, part: .weights)
      result.withFloats { BlockCodec.decode(tensor.type.rawValue, bytes, into: $0) }
      file.mapped.releasePages(bytes)
      return result
    }
  }

  private func view(_ bytes: UnsafeRawBufferPointer, _ shape: Shape, _ dtype: DType) -> Tensor {
    guard let start = UnsafeMutableRawPointer(mutating: bytes.baseAddress), !bytes.isEmpty else {
      return Tensor(uninitialized: shape, dtype, part: .weights)
    }
    let view = Tensor(Storage(viewing: start, byteCount: bytes.count, owner: file.mapped), shape: shape, dtype: dtype)
    return view.aligned
  }

  private func shifted(_ tensor: Tensor) -> Tensor {
    Tensor(tensor.converted(to: .float32).array(Float.self).map { $0 - family.normOffset }, tensor.shape)
  }

  /// Rows of queries or keys brought into Hugging Face's order.
  private func unpermuted(_ tensor: Tensor, _ name: String) throws -> Tensor {
    let heads = name.contains(".q_proj.") ? decoder.heads : decoder.keyValueHeads
    let rows = tensor.shape[0]
    guard heads > 0, rows % (2 * heads) == 0 else { throw CheckpointError(file.path, "\(rows) rows of \(name) for \(heads) heads") }
    return HeadRows.reordered(tensor, heads: heads, pairwise: false)
  }
}

/// The two orders of a head's rows under rotary positions.
enum HeadRows {
  /// A copy with each head's rows in pairs (0, d/2, 1, d/2 + 1, …) where they were in halves, or the other way round.
  static func reordered(_ tensor: Tensor, heads: Int, pairwise: Bool) -> Tensor {
    let result = Tensor(uninitialized: tensor.shape, tensor.dtype, part: .weights)
    let rows = tensor.shape[0]
    let (width, size) = (rows / heads, tensor.byteCount / max(1, rows))
    let (from, into) = (tensor.storage.pointer + tensor.byteOffset, result.storage.pointer + result.byteOffset)
    withExtendedLifetime((tensor.storage, result.storage)) {
      for row in 0..<rows {
        let (head, place) = (row / width, row % width)
        let half = place % (width / 2) * 2 + place / (width / 2)
        let (source, target) = pairwise ? (row, head * width + half) : (head * width + half, row)
        (into + target * size).copyMemory(from: from + source * size, byteCount: size)
      }
    }
    return result
  }
}

extension DecoderConfig {
  /// Heads whose rows a query or key weight holds.
  func headCount(of name: String) -> Int { name.contains(".q_proj.") ? heads : keyValueHeads }
}

extension Tensor {
  /// Calls `body` with the numbers of a float32 tensor in host memory.
  func withFloats<Result>(_ body: (UnsafeMutableBufferPointer<Float>) throws -> Result) rethrows -> Result {
    precondition(dtype == .float32, "\(dtype) where float32 is wanted")
    return try withExtendedLifetime(storage) {
      try body(UnsafeMutableBufferPointer(start: (storage.pointer + byteOffset).assumingMemoryBound(to: Float.self), count: count))
    }
  }
}
