import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore

/// Adapters as GGUF files that llama.cpp puts on a model while it runs (`--lora`): for each adapted matrix `NAME.lora_a` `[rank, in]` and
/// `NAME.lora_b` `[out, rank]`, rows in llama.cpp's order. llama.cpp scales by one alpha over each matrix's own rank, so whatever else the
/// scale is (rsLoRA, alphas by pattern) is multiplied into B.
public enum GGUFAdapterFile {
  /// Format of the numbers.
  public enum Precision: String, CaseIterable, Hashable, Sendable { case f32, f16 }

  /// Writes the file, whole or not at all.
  /// - Returns: what was written; the error is that of rounding.
  /// - Throws: for an adapter that llama.cpp has no form for, naming what it is; where a number is not finite, or the file cannot be written.
  @discardableResult
  public static func save(_ model: CausalLM, _ precision: Precision = .f32, name: String, to path: String) throws -> GGUFModelFile.Report {
    let plan = try GGUFAdapterPlan(model, precision)
    let writer = try GGUFWriter(path, metadata: plan.metadata(name), tensors: plan.entries.map(\.plan))
    var largest: Float = 0
    for entry in plan.entries {
      for piece in entry.pieces {
        let exact = try piece()
        let written = precision == .f16 ? exact.converted(to: .float16, part: .workspace) : exact
        try Finite.check(written, entry.plan.name)
        if precision == .f16 { largest = max(largest, written.largestDifference(from: exact)) }
        try written.withBytes { try writer.append($0) }
      }
    }
    try writer.finish()
    return GGUFModelFile.Report(
      tensors: plan.entries.count, changed: plan.entries.count / 2, largestError: largest,
      byteCount: try byteCount(model, precision, name: name), replaced: 0)
  }

  /// Bytes of the file that `save` would write for a model, which may be made of shapes only.
  /// - Throws: for an adapter that llama.cpp has no form for.
  public static func byteCount(_ model: CausalLM, _ precision: Precision, name: String) throws -> Int {
    let plan = try GGUFAdapterPlan(model, precision)
    return try GGUFWriter.byteCount(metadata: plan.metadata(name), tensors: plan.entries.map(\.plan))
  }

  /// Puts the numbers of a file in the place of those of the model's adapter.
  /// - Throws: where the file is no adapter for this model and this adapter's shapes.
  public static func load(_ path: String, into model: CausalLM) throws {
    let file = try GGUFFile(path)
    guard file["general.type"]?.string == "adapter", file["adapter.type"]?.string == "lora" else {
      throw CheckpointError(path, "key \"general.type\": an adapter of type lora is wanted")
    }
    guard let alpha = file["adapter.lora.alpha"]?.double, alpha.isFinite else {
      throw CheckpointError(path, "key \"adapter.lora.alpha\": a number is wanted")
    }
    let plan = try GGUFAdapterPlan(model, .f32)
    for part in plan.parts { try part.take(file, alpha: Float(alpha), plan) }
  }
}

/// The tensors of an adapter file.
private final class GGUFAdapterPlan {
  struct Entry {
    let plan: GGUFPlan
    let pieces: [() throws -> Tensor]
  }

  /// An adapted matrix.
  struct Part {
    let name: String
    let place: GGUFArchitecture.Place
    let adapter: LoRAAdapter
  }

  private(set) var parts: [Part] = []
  private(set) var entries: [Entry] = []
  private let family: GGUFArchitecture
  private let decoder: DecoderConfig
  private let alpha: Double
  private let type: GGUFType

  init(_ model: CausalLM, _ precision: GGUFAdapterFile.Precision) throws {
    guard let lora = model.lora else { throw CheckpointError(model.config.file, "the model has no adapter to write") }
    try Self.check(model, lora)
    family = try GGUFMetadata(model.config, model.decoder).family
    decoder = model.decoder
    // llama.cpp takes an alpha of 0 for no scale at all.
    alpha = lora.alpha == 0 ? Double(lora.rank) : lora.alpha
    type = precision == .f16 ? .f16 : .f32
    for module in model.modules {
      guard let adapter = module.adapter else { continue }
      let name = module.path + ".weight"
      guard let place = family.place(of: name) else { throw CheckpointError(name, "has no place in a GGUF file") }
      parts.append(Part(name: name, place: place, adapter: adapter))
    }
    let experts = Dictionary(grouping: model.modules.compactMap { family.place(of: $0.path + ".weight") }, by: \.tensor)
    try collect { experts[$0]?.count ?? 0 }
  }

  private static func check(_ model: CausalLM, _ lora: LoRA) throws {
    func refused(_ what: String) -> CheckpointError {
      CheckpointError("adapter", "\(what) has no form in a GGUF adapter; export --format gguf, which merges it")
    }
    if lora.useDoRA { throw refused("DoRA (use_dora)") }
    if !model.savedModules.isEmpty {
      throw refused("a module trained whole (modules_to_save: \(model.savedModules.joined(separator: ", ")))")
    }
    if model.embedding.adapter != nil { throw refused("an adapter on the token table (\(model.embedding.path))") }
    if model.head.adapter != nil, model.decoder.isTied {
      throw refused("an adapter on the head (\(model.head.path)), which shares the table's weight,")
    }
  }

  /// - Parameter experts: how many matrices the model has in a stack.
  private func collect(_ experts: (String) -> Int) throws {
    var order: [String] = []
    let stacks = Dictionary(grouping: parts) { $0.place.tensor }
    for part in parts where !order.contains(part.place.tensor) { order.append(part.place.tensor) }
    for tensor in order {
      let stack = (stacks[tensor] ?? []).sorted { ($0.place.expert ?? 0) < ($1.place.expert ?? 0) }
      let ranks = Set(stack.map(\.adapter.rank))
      guard let first = stack.first else { continue }
      if first.place.expert != nil, ranks.count > 1 || stack.count != experts(tensor) {
        throw CheckpointError(
          tensor, "\(stack.count) of \(experts(tensor)) experts have an adapter, of rank \(ranks.sorted()): all with one rank are wanted")
      }
      let outer = first.place.expert == nil ? [] : [stack.count]
      add("\(tensor).lora_a", outer + first.adapter.a.shape.dimensions, stack.map { part in { part.adapter.a.hostValue.float32 } })
      add("\(tensor).lora_b", outer + first.adapter.b.shape.dimensions, stack.map { part in { [unowned self] in outputs(part) } })
    }
  }

  private func add(_ name: String, _ shape: [Int], _ pieces: [() throws -> Tensor]) {
    entries.append(Entry(plan: GGUFPlan(name: name, type: type, shape: shape), pieces: pieces))
  }

  /// What B is multiplied with so that llama.cpp's scale gives the adapter's.
  private func factor(_ adapter: LoRAAdapter, alpha: Float) -> Float { adapter.scale / (alpha / Float(adapter.rank)) }

  /// B in llama.cpp's order of rows.
  private func outputs(_ part: Part) -> Tensor {
    let factor = factor(part.adapter, alpha: Float(alpha))
    var b = part.adapter.b.hostValue.float32
    if factor != 1 { b = Tensor(b.array(Float.self).map { $0 * factor }, b.shape) }
    return family.isPermuted(part.name) ? HeadRows.reordered(b, heads: decoder.headCount(of: part.name), pairwise: true) : b
  }

  func metadata(_ name: String) -> [(String, GGUFValue)] {
    [
      ("general.architecture", .string(family.name)), ("general.type", .string("adapter")), ("adapter.type", .string("lora")),
      ("adapter.lora.alpha", .float32(Float(alpha))), ("general.name", .string(name)), ("general.quantization_version", .uint32(2)),
      ("general.file_type", .uint32(type == .f16 ? 1 : 0)),
    ]
  }
}

extension GGUFAdapterPlan.Part {
  /// Takes A and B from a file.
  fileprivate func take(_ file: GGUFFile, alpha: Float, _ plan: GGUFAdapterPlan) throws {
    adapter.a.value = try numbers(file, "\(place.tensor).lora_a", adapter.a.shape)
    adapter.b.value = plan.inner(try numbers(file, "\(place.tensor).lora_b", adapter.b.shape), self, alpha: alpha)
  }

  private func numbers(_ file: GGUFFile, _ name: String, _ shape: Shape) throws -> Tensor {
    guard let tensor = file.tensor(name), tensor.shape.suffix(2) == shape.dimensions[...],
      tensor.shape.count == (place.expert == nil ? 2 : 3), let dtype: DType = [.f32: .float32, .f16: .float16][tensor.type]
    else { throw CheckpointError(file.path, "tensor \"\(name)\": \(shape) in F32 or F16 is wanted") }
    let bytes = file.bytes(of: tensor)
    let size = shape.count * dtype.size
    let start = (place.expert ?? 0) * size
    guard start + size <= bytes.count else { throw CheckpointError(file.path, "tensor \"\(name)\": no expert \(place.expert ?? 0)") }
    let stored = Tensor(uninitialized: shape, dtype, part: .workspace)
    if size > 0, let source = bytes.baseAddress {
      withExtendedLifetime(file) { (stored.storage.pointer + stored.byteOffset).copyMemory(from: source + start, byteCount: size) }
    }
    return stored.converted(to: .float32)
  }
}

extension GGUFAdapterPlan {
  /// B as the model has it.
  func inner(_ stored: Tensor, _ part: Part, alpha: Float) -> Tensor {
    let factor = factor(part.adapter, alpha: alpha)
    let b = family.isPermuted(part.name) ? HeadRows.reordered(stored, heads: decoder.headCount(of: part.name), pairwise: false) : stored
    return factor == 1 || factor == 0 ? b : Tensor(b.array(Float.self).map { $0 / factor }, b.shape)
  }
}
