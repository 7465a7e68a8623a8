import Foundation
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletLayers
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore
import Testing

/// Checkpoints in 8-bit floats and MXFP4: every number as its format defines it, and what does not fit refused by name.
@Suite struct QuantizedCheckpointTests {
  /// A tensor to write.
  private struct Stored {
    var dtype: SafetensorsDType
    var shape: [Int]
    var bytes: [UInt8]

    static func floats(_ values: [Float], _ shape: [Int], _ dtype: SafetensorsDType = .f32) -> Stored {
      let bytes: [UInt8] = values.flatMap { value -> [UInt8] in
        switch dtype {
        case .bf16: withUnsafeBytes(of: BFloat16(value).bits) { Array($0) }
        case .f16: withUnsafeBytes(of: Float16(value).bitPattern) { Array($0) }
        default: withUnsafeBytes(of: value) { Array($0) }
        }
      }
      return Stored(dtype: dtype, shape: shape, bytes: bytes)
    }
  }

  /// Bytes that look like nothing.
  private static func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
    let random = Random(seed: seed)
    return (0..<count).map { UInt8(truncatingIfNeeded: random.word(UInt64($0))) }
  }

  private static func write(_ tensors: [String: Stored], _ config: JSONObject, to folder: String) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try Data(JSON.object(config).serialized().utf8).write(to: URL(fileURLWithPath: folder + "/config.json"))
    let names = tensors.keys.sorted()
    let plans = names.map { SafetensorsPlan(name: $0, dtype: tensors[$0]!.dtype, shape: tensors[$0]!.shape) }
    let writer = try SafetensorsWriter(folder + "/model.safetensors", tensors: plans)
    for name in names { try tensors[name]!.bytes.withUnsafeBytes { try writer.append($0) } }
    try writer.finish()
  }

  /// The tensors and the config of a random model, norms and embeddings in float32.
  private static func base(_ family: String, _ change: (inout JSONObject) -> Void) throws -> (tensors: [String: Stored], config: JSONObject)
  {
    var config = try #require(try JSON(parsing: TinyModels.text(family)).object)
    change(&config)
    let model = try ModelRegistry.make(config: ModelConfig(config), source: .random(seed: 2))
    let pairs = model.parameters.map { ($0.name, Stored.floats($0.value.array(Float.self), $0.shape.dimensions)) }
    return (Dictionary(pairs) { $1 }, config)
  }

  private static func logits(_ model: CausalLM) -> [Float] {
    let context = ForwardContext(lengths: [9])
    return model.logits(hidden: model.hidden(ids: TinyModels.ids(9), context), context).array()
  }

  // MARK: 8-bit floats

  /// E4M3 as the OCP specification has it.
  private static func e4m3(_ byte: UInt8) -> Float {
    let (exponent, mantissa) = (Int(byte >> 3 & 15), Float(byte & 7))
    let size =
      exponent == 0
      ? mantissa / 8 * Float(sign: .plus, exponent: -6, significand: 1)
      : (1 + mantissa / 8) * Float(sign: .plus, exponent: exponent - 7, significand: 1)
    return byte & 128 == 0 ? size : -size
  }

  private static let isWide: @Sendable (inout JSONObject) -> Void = {
    $0["hidden_size"] = .int(136); $0["intermediate_size"] = .int(150)
  }
  private static let down = "model.layers.1.mlp.down_proj.weight"

  /// Scales of a kind for a matrix [rows, columns] and the number that each element is multiplied with.
  private static func scales(_ kind: String, _ rows: Int, _ columns: Int, seed: UInt64) -> (
    key: String, stored: Stored, at: (Int, Int) -> Float
  ) {
    func values(_ count: Int, _ round: (Float) -> Float = { $0 }) -> [Float] {
      bytes(count, seed: seed).map { round((Float($0) + 3) / 7001) }
    }
    let (down, across) = ((rows + 127) / 128, (columns + 127) / 128)
    switch kind {
    case "blocks":
      let v = values(down * across)
      return ("weight_scale_inv", .floats(v, [down, across]), { v[$0 / 128 * across + $1 / 128] })
    case "exponents":
      let exponents = bytes(down * across, seed: seed).map { 118 + $0 % 4 }
      return (
        "weight_scale_inv", Stored(dtype: .f8E8M0, shape: [down, across], bytes: exponents),
        { Float(sign: .plus, exponent: Int(exponents[$0 / 128 * across + $1 / 128]) - 127, significand: 1) }
      )
    case "rows bf16":
      let v = values(rows) { BFloat16($0).float }
      return ("weight_scale", .floats(v, [rows, 1], .bf16), { row, _ in v[row] })
    case "rows":
      let v = values(rows)
      return ("weight_scale", .floats(v, [rows]), { row, _ in v[row] })
    case "half":
      let v = values(1) { Float(Float16($0)) }
      return ("weight_scale", .floats(v, [1], .f16), { _, _ in v[0] })
    default:
      let v = values(1)
      return ("weight_scale", .floats(v, []), { _, _ in v[0] })
    }
  }

  /// A checkpoint whose linear layers are in 8-bit floats, and their numbers.
  private static func eightBit(_ kind: String) throws -> (tensors: [String: Stored], config: JSONObject, numbers: [String: [Float]]) {
    var (tensors, config) = try base("llama", isWide)
    var numbers: [String: [Float]] = [:]
    for (index, name) in tensors.keys.sorted().enumerated() where name.contains("_proj.weight") {
      guard let shape = tensors[name]?.shape else { continue }
      // Neither of the two codes for no number.
      let codes = bytes(shape[0] * shape[1], seed: UInt64(index)).map { $0 & 0x7F == 0x7F ? 0x31 : $0 }
      let (key, stored, at) = scales(kind, shape[0], shape[1], seed: UInt64(1000 + index))
      tensors[name] = Stored(dtype: .f8E4M3, shape: shape, bytes: codes)
      tensors[name.replacing("weight", with: key)] = stored
      tensors[name.replacing("weight", with: "input_scale")] = .floats([0.5], [])
      numbers[name] = codes.indices.map { e4m3(codes[$0]) * at($0 / shape[1], $0 % shape[1]) }
    }
    let method =
      key(kind) == "weight_scale_inv"
      ? #"{"quant_method": "fp8", "weight_block_size": [128, 128]}"# : #"{"quant_method": "compressed-tensors"}"#
    config["quantization_config"] = try JSON(parsing: method)
    return (tensors, config, numbers)
  }

  private static func key(_ kind: String) -> String { scales(kind, 1, 1, seed: 0).key }

  @Test func eightBitFloatsAreReadAsTheyAreCoded() throws {
    for kind in ["blocks", "exponents", "rows", "rows bf16", "one", "half"] {
      try Fixtures.withTemporaryFolder { folder in
        let (tensors, config, numbers) = try Self.eightBit(kind)
        try Self.write(tensors, config, to: folder)
        let stored = try ModelLoader.load(folder)
        let dense = try ModelLoader.load(folder, as: .float32)
        let half = try ModelLoader.load(folder, as: .bfloat16)
        for (name, wanted) in numbers {
          let linear = try #require(stored.linears[String(name.dropLast(".weight".count))])
          #expect(linear.weight.quantized?.format == (["blocks", "exponents"].contains(kind) ? .fp8Blocks : .fp8), "\(kind)")
          #expect(linear.weight.value.array(Float.self) == wanted, "\(kind) \(name)")
          let other = try #require(dense.linears[linear.path]?.weight)
          #expect(other.dtype == .float32 && other.quantized == nil && other.value.array(Float.self) == wanted, "\(kind) \(name)")
          let rounded = try #require(half.linears[linear.path]?.weight)
          #expect(rounded.dtype == .bfloat16 && rounded.value.array(BFloat16.self) == wanted.map { BFloat16($0) }, "\(kind) \(name)")
        }
        #expect(Self.logits(stored) == Self.logits(dense), "\(kind)")
        // Fewer bits than stored: coded again.
        let narrow = try ModelLoader.load(folder, as: .nf4)
        #expect(narrow.linears.values.filter { $0.path != "lm_head" }.allSatisfy { $0.weight.quantized?.format == .nf4 })
        // Merged onto the numbers, never onto the codes.
        try ModelFile.save(stored, to: folder + "/out", .init(source: folder))
        #expect(Self.logits(try ModelLoader.load(folder + "/out")) == Self.logits(dense), "\(kind)")
      }
    }
  }

  @Test func eightBitFloatsThatDoNotFitAreNamed() throws {
    let scale = Self.down.replacing("weight", with: "weight_scale")
    let cases: [(String, (inout [String: Stored], inout JSONObject) throws -> Void, [String])] = [
      ("rows", { tensors, _ in tensors[Self.down]?.dtype = .i8 }, [Self.down, "F8_E4M3", "I8"]),
      ("rows", { tensors, _ in tensors[Self.down]?.dtype = .f8E5M2 }, [Self.down, "F8_E4M3", "F8_E5M2"]),
      ("rows", { tensors, _ in tensors[Self.down]?.shape = [150, 136] }, [Self.down, "[136, 150]", "[150, 136]"]),
      ("rows", { tensors, _ in tensors[scale] = .floats([1, 2, 3], [3]) }, [scale, "[136]", "[3]"]),
      (
        "rows",
        { tensors, _ in
          tensors[scale] = .floats([1, 2, 3, 4], [2, 2]); tensors[scale]?.shape = [4, 1]
        }, [scale, "[2, 2]", "[4, 1]"]
      ),
      ("rows", { tensors, _ in tensors[scale]?.dtype = .i32 }, [scale, "F32", "I32"]),
      ("rows", { tensors, _ in tensors[scale] = .floats([], [0]) }, [scale, "[0]"]),
      (
        "rows",
        { tensors, _ in
          tensors[scale] = nil; tensors[Self.down.replacing("weight", with: "input_scale")] = nil
        }, [Self.down, "F8_E4M3"]
      ),
      (
        "blocks",
        { _, config in config["quantization_config"] = try JSON(parsing: #"{"quant_method": "fp8", "weight_block_size": [64, 64]}"#) },
        ["weight_block_size", "[64, 64]"]
      ),
      (
        "blocks", { _, config in config["quantization_config"] = try JSON(parsing: #"{"quant_method": "gptq"}"#) },
        ["quant_method", "gptq"]
      ),
      ("blocks", { _, config in config["quantization_config"] = try JSON(parsing: #"{"quant_method": 3}"#) }, ["quant_method"]),
      ("rows", { tensors, _ in tensors["model.norm.weight.absmax"] = .floats([1], [1]) }, ["model.norm.weight", "[136]", "absmax"]),
      ("rows", { tensors, _ in tensors["model.norm.weight_scale"] = .floats([1], [1]) }, ["model.norm.weight", "[136]", "weight_scale"]),
      ("rows", { tensors, _ in tensors["model.norm.SCB"] = .floats([1], [1]) }, ["model.norm.weight", "[136]", "SCB"]),
    ]
    for (index, (kind, change, words)) in cases.enumerated() {
      try Fixtures.withTemporaryFolder { folder in
        var (tensors, config, _) = try Self.eightBit(kind)
        try change(&tensors, &config)
        try Self.write(tensors, config, to: folder)
        let error = #expect(throws: (any Error).self, "case \(index)") { try ModelLoader.load(folder) }
        let text = error.map { "\($0)" } ?? ""
        #expect(error is CheckpointError || error is ConfigError, "case \(index): \(text)")
        for word in words { #expect(text.contains(word), "case \(index): \(word) in \(text)") }
      }
    }
  }

  // MARK: MXFP4 and stacked experts

  private static let isMicro: @Sendable (inout JSONObject) -> Void = {
    $0["intermediate_size"] = .int(32); $0["num_hidden_layers"] = .int(2)
  }
  private static let codes: [Float] = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6]

  /// A gpt-oss checkpoint with experts in MXFP4, and its 16-bit twin with the same numbers.
  private static func microscaled() throws -> (coded: [String: Stored], dense: [String: Stored], config: JSONObject) {
    var (tensors, config) = try base("gpt_oss", isMicro)
    for name in tensors.keys where name.contains(".experts.") { tensors[name] = nil }
    var (coded, dense) = (tensors, tensors)
    let experts = 4
    for layer in 0..<2 {
      let path = "model.layers.\(layer).mlp.experts"
      for (index, (leaf, rows)) in [("gate_up_proj", 64), ("down_proj", 32)].enumerated() {
        let seed = UInt64(10 * layer + index)
        let blocks = bytes(experts * rows * 16, seed: seed)
        let exponents = bytes(experts * rows, seed: seed + 100).map { 122 + $0 % 5 }
        coded["\(path).\(leaf)_blocks"] = Stored(dtype: .u8, shape: [experts, rows, 1, 16], bytes: blocks)
        coded["\(path).\(leaf)_scales"] = Stored(dtype: .u8, shape: [experts, rows, 1], bytes: exponents)
        // [experts, in, out]: the stored rows are columns here.
        var numbers = [Float](repeating: 0, count: experts * 32 * rows)
        for row in 0..<experts * rows {
          for column in 0..<32 {
            let byte = blocks[row * 16 + column / 2]
            let number =
              codes[Int(column % 2 == 0 ? byte & 15 : byte >> 4)] * Float(sign: .plus, exponent: Int(exponents[row]) - 127, significand: 1)
            numbers[(row / rows * 32 + column) * rows + row % rows] = number
          }
        }
        dense["\(path).\(leaf)"] = .floats(numbers, [experts, 32, rows], .bf16)
        let bias = bytes(experts * rows, seed: seed + 200).map { Float($0) / 256 - 0.5 }
        for target in ["\(path).\(leaf)_bias"] {
          (coded[target], dense[target]) = (.floats(bias, [experts, rows], .bf16), .floats(bias, [experts, rows], .bf16))
        }
      }
    }
    return (coded, dense, config)
  }

  @Test func microscaledExpertsAreTheirSixteenBitTwins() throws {
    try Fixtures.withTemporaryFolder { folder in
      let (coded, dense, config) = try Self.microscaled()
      var named = config
      named["quantization_config"] = try JSON(parsing: #"{"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}"#)
      try Self.write(coded, named, to: folder + "/coded")
      try Self.write(dense, config, to: folder + "/dense")
      let (stored, twin) = (try ModelLoader.load(folder + "/coded"), try ModelLoader.load(folder + "/dense"))
      let wide = try ModelLoader.load(folder + "/coded", as: .bfloat16)
      #expect(stored.parameters.map(\.name) == twin.parameters.map(\.name))
      for (parameter, other) in zip(stored.parameters, twin.parameters) where parameter.name.contains(".experts.") {
        let wanted = other.value.array(BFloat16.self).map(\.float)
        #expect((parameter.quantized?.format == .fp4) == parameter.name.hasSuffix("weight") && other.dtype == .bfloat16)
        let found = parameter.value
        #expect(
          (found.dtype == .float32 ? found.array(Float.self) : found.array(BFloat16.self).map(\.float)) == wanted, "\(parameter.name)")
      }
      #expect(wide.parameters.allSatisfy { $0.quantized == nil && $0.dtype == .bfloat16 })
      #expect(Self.logits(stored) == Self.logits(twin) && Self.logits(stored).allSatisfy(\.isFinite))

      // 4.25 bits a number stay where 4 were asked for.
      #expect(try ModelLoader.load(folder + "/coded", as: .nf4).parameters.contains { $0.quantized?.format == .fp4 })

      // What is saved has the family's own layout, and the same answers.
      try ModelFile.save(twin, to: folder + "/saved", .init(source: folder + "/dense"))
      try ModelFile.save(stored, to: folder + "/merged", .init(format: .bfloat16, source: folder + "/coded"))
      for name in ["saved", "merged"] {
        let file = try StoredTensors(file: "\(folder)/\(name)/model.safetensors")
        #expect(file.names == dense.keys.sorted(), "\(name)")
        for (key, tensor) in dense where key.contains(".experts.") {
          #expect(file.shape(key) == tensor.shape)
          #expect(
            try file.tensor(key).array(BFloat16.self).flatMap { value in withUnsafeBytes(of: value.bits) { Array($0) } } == tensor.bytes,
            "\(name) \(key)")
        }
        #expect(try Fixtures.json("\(folder)/\(name)/config.json")["quantization_config"] == nil)
      }
    }
  }

  @Test func stacksThatDoNotFitAreNamed() throws {
    let path = "model.layers.1.mlp.experts"
    let cases: [((inout [String: Stored]) -> Void, [String])] = [
      ({ $0["\(path).down_proj_scales"] = nil }, ["down_proj_scales", "[4, 32, 1]", "[]"]),
      ({ $0["\(path).down_proj_scales"]?.shape = [4, 1, 32] }, ["down_proj_scales", "[4, 1, 32]"]),
      ({ $0["\(path).down_proj_blocks"]?.shape = [4, 32, 2, 8] }, ["down_proj_blocks", "[4, 32, 2, 8]"]),
      ({ $0["\(path).down_proj_blocks"]?.shape = [4, 32, 16] }, ["down_proj_blocks", "[4, 32, 16]"]),
      ({ $0["\(path).down_proj_blocks"]?.dtype = .i8 }, ["down_proj_blocks", "I8"]),
      ({ $0["\(path).gate_up_proj_bias"]?.shape = [256] }, ["gate_up_proj_bias", "[256]"]),
      ({ $0["\(path).gate_up_proj_bias"] = .floats([], [4, 0]) }, ["gate_up_proj_bias", "[4, 0]"]),
      ({ $0["\(path).gate_up_proj_bias"] = .floats([1, 2, 3], [1, 3]) }, ["gate_up_proj_bias", "[1, 3]"]),
      ({ $0["\(path).gate_up_proj_bias"] = .floats([Float](repeating: 0, count: 20000), [10000, 2]) }, ["gate_up_proj_bias", "8192"]),
      ({ $0["\(path).gate_up_proj_bias"] = nil }, ["missing", "\(path).0.gate_proj.bias"]),
      (
        {
          $0["\(path).down_proj_blocks"]?.shape = [4, 16, 2, 16]; $0["\(path).down_proj_scales"]?.shape = [4, 16, 2]
        }, ["[32, 32]", "[16, 64]"]
      ),
      ({ $0["\(path).down_proj"] = .floats([1], [1, 1, 1]) }, ["down_proj", "twice"]),
    ]
    for (index, (change, words)) in cases.enumerated() {
      try Fixtures.withTemporaryFolder { folder in
        var (tensors, _, config) = try Self.microscaled()
        change(&tensors)
        try Self.write(tensors, config, to: folder)
        let error = #expect(throws: CheckpointError.self, "case \(index)") { try ModelLoader.load(folder) }
        for word in words { #expect(error?.description.contains(word) == true, "case \(index): \(word) in \(String(describing: error))") }
      }
    }
  }

  /// Single bytes of headers and scales: an error, or a model; never a trap.
  @Test func damagedCodesNeverTrap() throws {
    let (blocks, rows, micro) = (try Self.eightBit("blocks"), try Self.eightBit("rows bf16"), try Self.microscaled())
    for (index, (tensors, config)) in [(blocks.tensors, blocks.config), (rows.tensors, rows.config), (micro.coded, micro.config)]
      .enumerated()
    {
      try Fixtures.withTemporaryFolder { folder in
        try Self.write(tensors, config, to: folder)
        let file = URL(fileURLWithPath: folder + "/model.safetensors")
        let bytes = Array(try Data(contentsOf: file))
        let header = bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        var refused = 0
        for round in 0..<150 {
          let random = Random(seed: UInt64(40 + index), stream: UInt64(round))
          var changed = bytes
          changed[8 + Int(random.word(0)) % header] = Array("0123456789,[]\"_EIU".utf8)[Int(random.word(1)) % 18]
          try Data(changed).write(to: file)
          do { _ = Self.logits(try ModelLoader.load(folder)) } catch { refused += 1 }
        }
        #expect(refused > 75)
      }
    }
  }

  // MARK: What is left out

  @Test func layersThatPredictFurtherTokensAreLeftOut() throws {
    try Fixtures.withTemporaryFolder { folder in
      var (tensors, config) = try Self.base("deepseek_v3") { _ in }
      try Self.write(tensors, config, to: folder + "/plain")
      tensors["model.layers.3.eh_proj.weight"] = .floats([1, 2], [1, 2])
      tensors["model.layers.3.self_attn.q_a_proj.weight"] = .floats([1, 2], [1, 2])
      try Self.write(tensors, config, to: folder + "/further")
      #expect(Self.logits(try ModelLoader.load(folder + "/plain")) == Self.logits(try ModelLoader.load(folder + "/further")))
      config["num_nextn_predict_layers"] = .int(0)
      try Self.write(tensors, config, to: folder + "/strict")
      let error = #expect(throws: CheckpointError.self) { try ModelLoader.load(folder + "/strict") }
      #expect(error?.description.contains("model.layers.3.eh_proj.weight") == true)
    }
  }

  /// A router's correction decides who is chosen, is no weight to train, and is saved.
  @Test func correctionsOfRoutersAreBuffers() throws {
    try Fixtures.withTemporaryFolder { folder in
      var (tensors, config) = try Self.base("deepseek_v3") { _ in }
      let name = "model.layers.1.mlp.gate.e_score_correction_bias"
      try Self.write(tensors, config, to: folder + "/zero")
      tensors[name] = .floats([0.9, 0, 0.7, 0, 0.1, 0.4], [6])
      try Self.write(tensors, config, to: folder + "/other")
      let model = try ModelLoader.load(folder + "/other")
      #expect(Self.logits(model) != Self.logits(try ModelLoader.load(folder + "/zero")))
      try model.makeAllTrainable()
      #expect(model.parameters.filter(\.isBuffer).map(\.name) == [name, "model.layers.2.mlp.gate.e_score_correction_bias"])
      #expect(model.parameters.allSatisfy { $0.isTrainable != $0.isBuffer })
      try ModelFile.save(model, to: folder + "/saved")
      #expect(Self.logits(try ModelLoader.load(folder + "/saved")) == Self.logits(model))
      config["n_group"] = .int(1)
      config["topk_group"] = .int(1)
      try Self.write(tensors, config, to: folder + "/ungrouped")
      #expect(Self.logits(try ModelLoader.load(folder + "/ungrouped")) != Self.logits(model))
    }
  }

  /// Adapters go where PEFT puts them: not on routers without a module, nor on stacked experts.
  @Test func adaptersLeaveOutWhatIsNoLinearLayer() throws {
    for (family, isAdapted) in [("gpt_oss", "self_attn"), ("deepseek_v3", "_proj")] {
      let model = try TinyModels.make(family)
      try model.add(LoRA(rank: 2, alpha: 4))
      let adapted = model.linears.values.filter { $0.adapter != nil }.map(\.path)
      #expect(!adapted.isEmpty && adapted.allSatisfy { $0.contains(isAdapted) }, "\(family): \(adapted.sorted().prefix(3))")
      let error = #expect(throws: LoRAError.self) { try TinyModels.make("gpt_oss").add(LoRA(targets: .names(["gate_proj", "router"]))) }
      #expect(error?.description.contains("q_proj") == true)
    }
  }
}
