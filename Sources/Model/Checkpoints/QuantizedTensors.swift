import SwiftletFormats
import SwiftletOps
import SwiftletTensorCore

/// Matrices that a checkpoint holds quantised: as bitsandbytes writes them, 4-bit with `weight.quant_state.bitsandbytes__nf4` (or `__fp4`) and
/// LLM.int8 with `SCB`; or in 8-bit floats with `weight_scale` or `weight_scale_inv` (see FP8Tensors). The tensors decide, not the config's list
/// of modules.
extension StoredTensors {
  /// What stands beside the codes of `name`, a weight: names of the tensors that belong to it.
  func companions(of name: String) -> [String] {
    let keys = ["absmax", "nested_absmax", "nested_quant_map", "quant_map"] + Self.states.map(\.key)
    let module = name.hasSuffix(".weight") ? String(name.dropLast("weight".count)) : name + "."
    let bitsandbytes = keys.map { "\(name).\($0)" } + [module + "SCB", module + "weight_format"]
    return (bitsandbytes + scaleNames(module)).filter { shape($0) != nil }
  }

  /// How the matrix `name` is coded; nil where it is stored dense.
  func codedFormat(_ name: String) -> QuantizationFormat? {
    let companions = companions(of: name)
    if let (_, format) = Self.states.first(where: { companions.contains("\(name).\($0.key)") }) { return format }
    if let scale = companions.first(where: isFloatScale) { return scalesAreRows(shape(scale) ?? [], of: name) ? .fp8 : .fp8Blocks }
    return companions.contains { $0.hasSuffix("SCB") } ? .int8 : nil
  }

  /// The matrix `name`; nil where it is stored dense.
  /// - Throws: where a part of it is missing or does not fit `shape`.
  func matrix(_ name: String, shape: Shape) throws -> QuantizedMatrix? {
    let companions = companions(of: name)
    if companions.isEmpty { return nil }
    guard shape.rank == 2 else {
      throw CheckpointError(
        name, "numbers of shape \(shape) are wanted, found a quantised tensor with \(companions.joined(separator: ", "))")
    }
    if let (key, format) = Self.states.first(where: { companions.contains("\(name).\($0.key)") }) {
      return try fourBit(name, shape, format, state: "\(name).\(key)")
    }
    if let scale = companions.first(where: isFloatScale) { return try floats(name, shape, scale: scale) }
    guard let scales = companions.first(where: { $0.hasSuffix("SCB") }) else {
      throw CheckpointError(name, "a quantised tensor lacks its quant_state; it has \(companions.joined(separator: ", "))")
    }
    let (codes, absmax) = (try tensor(name), try tensor(scales))
    guard codes.dtype == .int8, codes.shape == shape, absmax.dtype == .float32, absmax.count == shape[0] else {
      throw CheckpointError(name, "int8 \(shape) with \(shape[0]) scales is wanted, found \(codes.dtype) \(codes.shape), \(absmax.shape)")
    }
    return QuantizedMatrix(shape: shape, format: .int8, codes: codes, scales: .plain(absmax.reshaped([shape[0]])))
  }

  private static let states: [(key: String, format: QuantizationFormat)] = [
    ("quant_state.bitsandbytes__nf4", .nf4), ("quant_state.bitsandbytes__fp4", .fp4),
  ]

  private func fourBit(_ name: String, _ shape: Shape, _ format: QuantizationFormat, state: String) throws -> QuantizedMatrix {
    let bytes = try tensor(state).array(UInt8.self)
    guard let json = try? JSON(parsing: String(decoding: bytes, as: UTF8.self)) else {
      throw CheckpointError(state, "a JSON object is wanted")
    }
    let (stored, blockSize) = (json["shape"]?.array?.compactMap(\.int) ?? [], json["blocksize"]?.int ?? 0)
    guard stored == shape.dimensions, QuantizedMatrix.blockSizes.contains(blockSize) else {
      throw CheckpointError(state, "a matrix \(shape) in blocks of 32 to 4096 is wanted, found \(stored) in blocks of \(blockSize)")
    }
    let blocks = (shape.count + blockSize - 1) / blockSize
    func part(_ key: String, _ dtype: DType, _ count: Int) throws -> Tensor {
      let tensor = try tensor("\(name).\(key)")
      guard tensor.dtype == dtype, tensor.count == count else {
        throw CheckpointError("\(name).\(key)", "\(count) numbers of \(dtype) are wanted, found \(tensor.shape) of \(tensor.dtype)")
      }
      return tensor.reshaped([count])
    }
    // Other formats of storage hold the same bytes.
    let packed = try tensor(name)
    guard packed.byteCount == (shape.count + 1) / 2 else {
      throw CheckpointError(name, "\((shape.count + 1) / 2) bytes of codes are wanted for \(shape), found \(packed.byteCount)")
    }
    let codes = Tensor(packed.storage, byteOffset: packed.byteOffset, shape: [packed.byteCount], dtype: .uint8)
    var scales: QuantizedMatrix.Scales
    if self.shape("\(name).nested_absmax") == nil {
      scales = .plain(try part("absmax", .float32, blocks))
    } else {
      guard let offset = json["nested_offset"]?.double, json["nested_blocksize"]?.int == QuantizedMatrix.nestedBlockSize else {
        throw CheckpointError(state, "nested_offset and a nested_blocksize of \(QuantizedMatrix.nestedBlockSize) are wanted")
      }
      let nested = (blocks + QuantizedMatrix.nestedBlockSize - 1) / QuantizedMatrix.nestedBlockSize
      scales = .coded(
        codes: try part("absmax", .uint8, blocks), absmax: try part("nested_absmax", .float32, nested),
        map: try part("nested_quant_map", .float32, 256), offset: Tensor([Float(offset)], [1], part: .weights))
    }
    return QuantizedMatrix(
      shape: shape, format: format, codes: codes, scales: scales, blockSize: blockSize, codebook: try part("quant_map", .float32, 16))
  }
}
