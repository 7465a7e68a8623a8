import SwiftletCPU
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore

/// Writes models as GGUF files, adapters merged in: llama.cpp's names, orders of rows and stacks of experts. Memory beside the model: some MB;
/// where an adapter changes it, one matrix (of a stack one expert's) in float32.
public enum GGUFModelFile {
  /// What was written.
  public struct Report: Sendable {
    /// Number of tensors in the file.
    public let tensors: Int
    /// Number of weights that the adapter changed.
    public let changed: Int
    /// Largest |stored − exact| over all tensors.
    public let largestError: Float
    /// Bytes of the file.
    public let byteCount: Int
    /// Matrices whose rows are no whole number of the wanted type's blocks, and which another type stands for.
    public let replaced: Int
  }

  /// Writes the file, whole or not at all.
  /// - Parameters:
  ///   - source: the folder that the model was loaded from, whose weights are the base to merge onto; nil takes the model's own.
  ///   - text: metadata of the tokenizer.
  /// - Throws: where the family has no GGUF form, a merge changes nothing, a number is not finite, or the file cannot be written.
  @discardableResult
  public static func save(
    _ model: CausalLM, _ type: GGUFExportType, source: String? = nil, text: [(String, GGUFValue)], name: String, to path: String
  ) throws -> Report {
    let plan = try GGUFSavePlan(model, type, source: source)
    let metadata = plan.metadata(text: text, name: name, type)
    let plans = plan.entries.map(\.plan)
    let writer = try GGUFWriter(path, metadata: metadata, tensors: plans)
    for entry in plan.entries {
      for piece in entry.pieces { try plan.append(piece, entry.plan, to: writer) }
    }
    if model.lora != nil && plan.changed == 0 {
      throw CheckpointError(path, "the adapter changes no weight: nothing to merge. Train it first")
    }
    try writer.finish()
    return Report(
      tensors: plans.count, changed: plan.changed, largestError: plan.largestError,
      byteCount: try GGUFWriter.byteCount(metadata: metadata, tensors: plans), replaced: plan.replaced)
  }

  /// Bytes of the file that `save` would write for a model, which may be made of shapes only: what is checked before a run.
  /// - Throws: as `save`, where the family or its config has no GGUF form.
  public static func byteCount(_ model: CausalLM, _ type: GGUFExportType, text: [(String, GGUFValue)], name: String) throws -> Int {
    let plan = try GGUFSavePlan(model, type, source: nil)
    return try GGUFWriter.byteCount(metadata: plan.metadata(text: text, name: name, type), tensors: plan.entries.map(\.plan))
  }
}

/// Which tensors a GGUF file has and how each is made.
private final class GGUFSavePlan {
  /// A tensor, made of pieces that follow each other: a stack has one for each expert.
  struct Entry {
    let plan: GGUFPlan
    var pieces: [() throws -> Tensor]
  }

  private(set) var entries: [Entry] = []
  private(set) var changed = 0
  private(set) var largestError: Float = 0
  private(set) var replaced = 0
  private let form: GGUFMetadata
  private let decoder: DecoderConfig
  private let base: BaseWeights
  private lazy var slices = GGUFSlices()

  init(_ model: CausalLM, _ type: GGUFExportType, source: String?) throws {
    form = try GGUFMetadata(model.config, model.decoder)
    decoder = model.decoder
    base = try BaseWeights(source)
    let isTied = model.savesTied
    let mix = GGUFExportType.Model(
      layers: decoder.layers, groups: decoder.heads / decoder.keyValueHeads,
      experts: form.pairs.first { $0.0.hasSuffix(".expert_count") }?.1.int ?? 0, isTied: isTied)
    try collect(model, isTied: isTied) { type.type(of: $0, shape: $1, mix) }
    replaced = entries.count { entry in
      entry.plan.shape.count > 1 && entry.plan.type != type.type(of: entry.plan.name, shape: entry.plan.shape.dropLast() + [256], mix)
    }
    for (name, values) in form.factors {
      let plan = GGUFPlan(name: name, type: .f32, shape: [values.count])
      entries.append(Entry(plan: plan, pieces: [{ Tensor(values, [values.count]) }]))
    }
  }

  private func collect(_ model: CausalLM, isTied: Bool, _ type: (String, [Int]) -> GGUFType) throws {
    var stacks: [String: [(expert: Int, make: () throws -> Tensor)]] = [:]
    var shapes: [String: [Int]] = [:]
    var order: [String] = []
    for module in model.modules where !(isTied && module === model.head) {
      for parameter in module.parameters {
        let name = "\(module.path).\(parameter.name.split(separator: ".").last ?? "weight")"
        guard let place = form.family.place(of: name) else { throw CheckpointError(name, "has no place in a GGUF file") }
        if shapes[place.tensor] == nil { order.append(place.tensor) }
        shapes[place.tensor] = parameter.shape.dimensions
        let adapter = parameter === module.parameters.first ? module.adapter : nil
        stacks[place.tensor, default: []].append(
          (place.expert ?? -1, { [unowned self] in try self.exact(parameter, adapter, name, isEmbedding: module is Embedding) }))
      }
    }
    for tensor in order {
      guard var parts = stacks[tensor], var shape = shapes[tensor] else { continue }
      parts.sort { $0.expert < $1.expert }
      if parts[0].expert >= 0 { shape.insert(parts.count, at: 0) }
      entries.append(Entry(plan: GGUFPlan(name: tensor, type: type(tensor, shape), shape: shape), pieces: parts.map(\.make)))
    }
  }

  /// A weight, merged and in llama.cpp's order; in its stored format where nothing changes its numbers.
  private func exact(_ parameter: Parameter, _ adapter: LoRAAdapter?, _ name: String, isEmbedding: Bool) throws -> Tensor {
    let base = try base.tensor(parameter)
    var weight = base
    if let adapter {
      weight = adapter.merged(base, isEmbedding: isEmbedding)
      if weight.largestDifference(from: base) > 0 { changed += 1 }
    } else if parameter.isTrainable {
      changed += 1
    }
    if form.family.isShifted(name) {
      weight = weight.converted(to: .float32, part: .workspace)
      weight.withFloats { for i in $0.indices { $0[i] += form.family.normOffset } }
    }
    if form.family.isPermuted(name) {
      weight = HeadRows.reordered(weight, heads: decoder.headCount(of: name), pairwise: true)
    }
    try Finite.check(weight, name)
    return weight
  }

  /// Codes a piece and writes it; notes how far codes are from numbers.
  func append(_ make: () throws -> Tensor, _ plan: GGUFPlan, to writer: GGUFWriter) throws {
    largestError = max(largestError, try slices.write(try make(), plan) { try writer.append($0) })
  }

  func metadata(text: [(String, GGUFValue)], name: String, _ type: GGUFExportType) -> [(String, GGUFValue)] {
    let file: [(String, GGUFValue)] = [("general.name", .string(name)), ("general.file_type", .uint32(type.fileType))]
    return form.pairs + file + text
  }
}
