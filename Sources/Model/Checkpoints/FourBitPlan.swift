import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore

/// A linear layer that a 4-bit checkpoint codes: its numbers before and after.
struct FourBitLinear {
  /// The layer.
  let linear: Linear
  let plan: FourBitPlan
  let weight: SavePlan.Weight

  /// The weight with the adapter merged in, `[out, in]`: float32 with an adapter, else as stored.
  func exact() throws -> Tensor { try plan.base.exact(weight) }

  /// The weight as it is coded.
  func coded() throws -> QuantizedMatrix { try plan.code(weight) }

  /// Bytes that the file grows by where the weight stays dense.
  var extraBytes: Int { plan.denseBytes(weight) - plan.codedBytes(weight) }
}

/// The tensors of a 4-bit checkpoint.
final class FourBitPlan {
  let base: SavePlan
  /// What codes are decoded to, and what stays dense.
  private let dtype: DType
  private let coding: BitsAndBytesFile.Coding
  // The parts of a matrix stand apart in a file, each kind together: what was coded last is used for all of one kind.
  private var coded: (name: String, matrix: QuantizedMatrix)?

  init(_ model: CausalLM, _ options: ModelFile.Options, _ coding: BitsAndBytesFile.Coding = .init()) throws {
    self.coding = coding
    var options = options
    let stored = try BaseWeights(options.source).storedFormat ?? model.parameters.first { $0.shape.rank > 1 }?.dtype
    options.format = options.format ?? (stored == .float16 ? .float16 : .bfloat16)
    dtype = options.format?.dtype ?? .bfloat16
    base = try SavePlan(model, options)
  }

  /// - Throws: where bitsandbytes' layout has no place for the family's experts.
  func checkLayout(_ options: ModelFile.Options) throws {
    guard base.stacksExperts else { return }
    throw CheckpointError(
      options.source ?? "model_type",
      "this family's files hold experts in one tensor a layer, which bitsandbytes does not code: export merged or gguf")
  }

  /// Bytes of all tensors; of what describes a matrix's codes the most.
  var byteCount: Int { base.weights.reduce(0) { $0 + ($1.isInner ? codedBytes($1) : denseBytes($1)) } }

  /// Every weight's tensors. Codes each matrix once, for the length of its description, and again when it is written.
  func groups() throws -> [[TensorEntry]] {
    try base.weights.map { weight in
      guard weight.isInner, !isKept(weight) else { return [base.entry(weight)] }
      return try entries(weight)
    }
  }

  private func isKept(_ weight: SavePlan.Weight) -> Bool { coding.scheme?.keeps(weight.module.path) ?? false }

  /// Bytes of a weight that stays dense.
  func denseBytes(_ weight: SavePlan.Weight) -> Int { weight.shape.count * weight.dtype.size }

  /// Bytes of a coded matrix; of what describes its codes the most.
  func codedBytes(_ weight: SavePlan.Weight) -> Int {
    let (states, codebook) = (256, 64)
    return QuantizedMatrix.byteCount(weight.shape, .nf4) + codebook + states
  }

  private func entries(_ weight: SavePlan.Weight) throws -> [TensorEntry] {
    let matrix = try code(weight)
    try note(matrix, weight)
    guard case .coded(let codes, let absmax, let map, let offset) = matrix.scales, let codebook = matrix.codebook else {
      throw CheckpointError(weight.name, "scales in 8 bits are wanted")
    }
    let state = Array(description(matrix, offset: offset.scalar).utf8)
    let kept: [(String, Tensor)] = [
      ("nested_absmax", absmax), ("nested_quant_map", map), ("quant_map", codebook),
      ("quant_state.bitsandbytes__nf4", Tensor(state, [state.count])),
    ]
    let later: [(String, Shape, (QuantizedMatrix) -> Tensor)] = [
      ("", [matrix.codes.count, 1], { $0.codes.reshaped([$0.codes.count, 1]) }),
      (".absmax", [codes.count], { if case .coded(let codes, _, _, _) = $0.scales { codes } else { $0.scales.tensors[0] } }),
    ]
    return later.map { suffix, shape, part in
      TensorEntry(name: weight.name + suffix, shape: shape, dtype: .uint8) { part(try self.code(weight)) }
    } + kept.map { key, tensor in TensorEntry(name: "\(weight.name).\(key)", shape: tensor.shape, dtype: tensor.dtype) { tensor } }
  }

  /// The matrix as it is coded.
  func code(_ weight: SavePlan.Weight) throws -> QuantizedMatrix {
    if let coded, coded.name == weight.name { return coded.matrix }
    let matrix = try matrix(weight)
    coded = (weight.name, matrix)
    return matrix
  }

  private func matrix(_ weight: SavePlan.Weight) throws -> QuantizedMatrix {
    // Codes of a source that is coded already stay what they are.
    if weight.adapter == nil, let kept = weight.parameter.quantized?.moved(to: .cpu), isOurs(kept) { return kept }
    let exact = try base.exact(weight)
    try Finite.check(exact, weight.name)
    return coded(exact, weight)
  }

  private func coded(_ exact: Tensor, _ weight: SavePlan.Weight) -> QuantizedMatrix {
    guard let scheme = coding.scheme else { return QuantizedMatrix(quantizing: exact, .nf4) }
    return QuantizedMatrix(searchingScales: exact, inputSquares: scheme.inputSquares[weight.parameter.name])
  }

  private func isOurs(_ matrix: QuantizedMatrix) -> Bool {
    if case .coded = matrix.scales { matrix.format == .nf4 && matrix.blockSize == 64 } else { false }
  }

  /// Notes how far codes are from numbers, and whether the adapter changed any.
  private func note(_ matrix: QuantizedMatrix, _ weight: SavePlan.Weight) throws {
    base.largestRounding = max(base.largestRounding, matrix.dequantized().largestDifference(from: try base.exact(weight)))
    guard weight.adapter != nil else { return }
    let before = coded(try base.source.tensor(weight.parameter), weight)
    if zip(before.tensors, matrix.tensors).contains(where: { $0.checksum != $1.checksum }) { base.changed += 1 }
  }

  /// `weight.quant_state`, spelled as Python's `json.dumps` does: the same bytes that bitsandbytes writes.
  private func description(_ matrix: QuantizedMatrix, offset: Float) -> String {
    """
    {"quant_type": "nf4", "blocksize": \(matrix.blockSize), "dtype": "\(dtype.rawValue)", "shape": [\(matrix.outputs), \(matrix.inputs)], \
    "nested_blocksize": \(QuantizedMatrix.nestedBlockSize), "nested_dtype": "float32", "nested_offset": \(Double(offset))}
    """
  }

  /// The config with what transformers wants to know of the codes.
  var config: JSONObject {
    var config = base.config
    // Modules that transformers would code and we do not, by the last words of their paths.
    let routers = Set(
      base.weights.filter { $0.module.isRouter }.map { $0.module.path.split(separator: ".").suffix(2).joined(separator: ".") })
    let text = dtype.rawValue
    let settings: [(String, JSON)] = [
      ("_load_in_4bit", .bool(true)), ("_load_in_8bit", .bool(false)), ("bnb_4bit_compute_dtype", .string(text)),
      ("bnb_4bit_quant_storage", .string("uint8")), ("bnb_4bit_quant_type", .string("nf4")), ("bnb_4bit_use_double_quant", .bool(true)),
      ("llm_int8_enable_fp32_cpu_offload", .bool(false)), ("llm_int8_has_fp16_weight", .bool(false)),
      ("llm_int8_skip_modules", .array((["lm_head"] + routers.sorted() + (coding.scheme?.kept ?? []).sorted()).map { .string($0) })),
      ("llm_int8_threshold", .number(6)),
      ("load_in_4bit", .bool(true)), ("load_in_8bit", .bool(false)), ("quant_method", .string("bitsandbytes")),
    ]
    config["quantization_config"] = .object(JSONObject(settings))
    return config
  }
}
