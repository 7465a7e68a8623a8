import SwiftletCPU
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore

/// Writes models as transformers saves bitsandbytes' 4-bit checkpoints: matrices inside of blocks as NF4 with doubly quantised scales, everything
/// else (head, table, norms, biases, routers, and what is kept on purpose) in 16 bits. Memory: one matrix in float32 and its codes beside the
/// model, and 1 byte for each 4,096 coded weights.
public enum BitsAndBytesFile {
  /// Which matrices are coded, and how.
  public struct Coding: Sendable {
    /// Which matrices stay dense, so that `llm_int8_skip_modules` names them, and by what the scales of the others are searched; nil for none, and
    /// a block's largest magnitude, which is what bitsandbytes takes.
    public var scheme: FourBitScheme?

    /// As bitsandbytes codes: all, each block by its largest magnitude.
    public init() {}

    /// By a scheme.
    public init(_ scheme: FourBitScheme) { self.scheme = scheme }
  }

  /// Writes the model, adapters merged in before it is coded, as a folder that is either whole or not there.
  /// - Parameters:
  ///   - options: `format` is that of what stays dense, and of what readers decode to: bfloat16 or float16; nil keeps the source's, or takes
  ///     bfloat16.
  ///   - coding: which matrices are coded, and how.
  /// - Returns: what was written; `largestRounding` is that of the codes.
  /// - Throws: where a merge changes no code, a number is not finite, or a file cannot be written.
  @discardableResult
  public static func save(
    _ model: CausalLM, to folder: String, _ options: ModelFile.Options = .init(), _ coding: Coding = .init()
  ) throws -> ModelFile.Report {
    let plan = try FourBitPlan(model, options, coding)
    try plan.checkLayout(options)
    var (tensors, checksums): (Int, [String: UInt32]) = (0, [:])
    try AtomicFolder.write(folder, mayReplace: ModelFile.isModel) { temporary in
      let groups = try plan.groups()
      tensors = groups.reduce(0) { $0 + $1.count }
      checksums = try TensorFiles.writeShards(groups, to: temporary, name: "model", limit: options.shardBytes, aligns: true)
      if plan.base.isMerge && plan.base.changed == 0 { throw CheckpointError(folder, ModelFile.unchanged) }
      try ConfigFile.write(.object(plan.config), to: Files.join(temporary, "config.json"))
      for source in [options.text, options.source] { try CompanionFiles.copy(from: source, to: temporary) }
    }
    return ModelFile.Report(
      tensors: tensors, changed: plan.base.changed, largestRounding: plan.base.largestRounding, checksums: checksums)
  }

  /// Bytes of the tensors that `save` would write for a model, which may be made of shapes only; of what describes a matrix's codes the most.
  public static func byteCount(_ model: CausalLM, _ options: ModelFile.Options = .init()) throws -> Int {
    let plan = try FourBitPlan(model, options)
    try plan.checkLayout(options)
    return plan.byteCount
  }

  /// The same for a model that need not have a place in such a file.
  package static func plainByteCount(_ model: CausalLM, _ options: ModelFile.Options = .init()) throws -> Int {
    try FourBitPlan(model, options).byteCount
  }

  /// The linear layers that `save` would code, in the order of the model.
  static func linears(
    _ model: CausalLM, _ options: ModelFile.Options = .init(), _ coding: Coding = .init()
  ) throws -> [FourBitLinear] {
    let plan = try FourBitPlan(model, options, coding)
    return plan.base.weights.compactMap { weight in
      guard weight.isInner, let linear = weight.module as? Linear else { return nil }
      return FourBitLinear(linear: linear, plan: plan, weight: weight)
    }
  }
}
