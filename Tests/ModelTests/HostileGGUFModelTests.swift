import Foundation
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletModels
import SwiftletTensorCore
import Testing

/// Model files whose bytes are in order and whose contents make no sense: each refused by an error that names the key or tensor.
@Suite struct HostileGGUFModelTests {
  private typealias Pairs = [(String, GGUFValue)]

  /// A right file, taken apart.
  private struct Parts {
    var metadata: Pairs
    var tensors: [GGUFPlan]
    var bytes: [String: [UInt8]]

    init(_ family: String, _ folder: String) throws {
      let path = "\(folder)/\(family)-right.gguf"
      try GGUFModelFile.save(TinyModels.make(family), .f32, text: [], name: "t", to: path)
      let file = try GGUFFile(path)
      metadata = file.header.metadata.map { ($0.key, $0.value) }
      tensors = file.tensors.map { GGUFPlan(name: $0.name, type: $0.type, shape: $0.shape) }
      bytes = Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, Array(file.bytes(of: $0))) })
    }

    mutating func set(_ key: String, _ value: GGUFValue?) {
      metadata.removeAll { $0.0 == key }
      if let value { metadata.append((key, value)) }
    }

    func write(_ path: String) throws {
      let writer = try GGUFWriter(path, metadata: metadata, tensors: tensors)
      for tensor in tensors {
        let wanted = tensor.byteCount ?? 0
        let stored = Array((bytes[tensor.name] ?? []).prefix(wanted))
        try (stored + [UInt8](repeating: 0, count: wanted - stored.count)).withUnsafeBytes { try writer.append($0) }
      }
      try writer.finish()
    }
  }

  private func message(_ path: String) -> String {
    do {
      _ = try ModelLoader.load(path)
      return "accepted"
    } catch { return "\(error)" }
  }

  private static let kinds: [(String, GGUFValue)] = [
    ("text", .string("8")), ("a Boolean", .bool(true)), ("NaN", .float32(.nan)), ("a fraction", .float64(8.5)),
    ("-1", .int32(-1)), ("-2^63", .int64(.min)), ("2^64-1", .uint64(.max)), ("2^63-1", .int64(.max)),
    ("no numbers", .array(GGUFArray([Int32]()))), ("texts", .array(GGUFArray(["8", "8"]))),
    ("uneven numbers", .array(GGUFArray([8, 9] as [Int32]))),
  ]

  /// Whole numbers of a Llama, each as everything that it must not be.
  private var integers: [(String, String, String, GGUFValue)] {
    let keys = [
      "embedding_length", "block_count", "attention.head_count", "attention.head_count_kv", "attention.key_length",
      "attention.value_length",
      "feed_forward_length", "context_length", "rope.dimension_count",
    ]
    let zeros = keys.map { ("llama", "llama.\($0)", "0", GGUFValue.uint32(0)) }
    let all = keys.flatMap { key in Self.kinds.map { ("llama", "llama.\(key)", $0.0, $0.1) } }
    return zeros + all + [
      ("llama", "llama.rope.dimension_count", "odd", .uint32(7)), ("llama", "llama.rope.dimension_count", "wider than a head", .uint32(10)),
      ("llama", "llama.rope.dimension_count", "huge", .uint32(.max)), ("llama", "llama.attention.head_count_kv", "no divisor", .uint32(3)),
      ("llama", "llama.attention.head_count_kv", "more than heads", .uint32(8)),
      ("llama", "llama.attention.value_length", "unlike keys", .uint32(4)),
      ("llama", "llama.block_count", "a billion", .uint32(1_000_000_000)), ("llama", "llama.embedding_length", "2^31", .uint32(1 << 31)),
      ("mixtral", "llama.expert_count", "a billion", .uint32(1_000_000_000)),
      ("mixtral", "llama.expert_used_count", "more than there are", .uint32(5)),
      ("mixtral", "llama.expert_used_count", "0", .uint32(0)), ("mixtral", "llama.expert_used_count", "text", .string("2")),
      ("mistral", "llama.attention.sliding_window", "negative", .int32(-5)),
      ("mistral", "llama.attention.sliding_window", "text", .string("5")),
    ]
  }

  private var numbers: [(String, String, String, GGUFValue)] {
    let wrong: [(String, GGUFValue)] = [
      ("0", .float32(0)), ("negative", .float32(-1)), ("NaN", .float32(.nan)), ("infinite", .float32(.infinity)), ("text", .string("1")),
      ("a list", .array(GGUFArray([1] as [Float]))), ("1e300", .float64(1e300)),
    ]
    return [
      ("llama", "llama.rope.freq_base"), ("llama", "llama.attention.layer_norm_rms_epsilon"), ("granite", "granite.attention.scale"),
      ("granite", "granite.logit_scale"), ("cohere2", "cohere2.attention.layer_norm_epsilon"),
    ].flatMap { family, key in wrong.map { (family, key, $0.0, $0.1) } } + [
      ("llama", "llama.rope.scaling.type", "unknown", .string("magic")), ("llama", "llama.rope.scaling.type", "a number", .uint32(1)),
      ("llama", "general.architecture", "unknown", .string("magic")), ("llama", "general.architecture", "a number", .uint32(1)),
      ("llama", "llama.rope.scaling.original_context_length", "0", .uint32(0)),
    ]
  }

  @Test func metadataIsRefusedByKey() throws {
    try Fixtures.withTemporaryFolder { folder in
      var right: [String: Parts] = [:]
      let cases = integers + numbers
      for (index, (family, key, name, value)) in cases.enumerated() {
        var parts = try right[family] ?? Parts(family, folder)
        right[family] = parts
        parts.set(key, value)
        let path = "\(folder)/\(index).gguf"
        try parts.write(path)
        let found = message(path)
        #expect(found.contains("\"\(key)\"") || (name == "unknown" && found.contains("magic")), "\(key) \(name): \(found.prefix(300))")
      }
      for key in ["general.architecture", "llama.embedding_length", "llama.block_count", "llama.attention.head_count"] {
        guard var parts = right["llama"] else { return }
        parts.set(key, nil)
        try parts.write("\(folder)/missing.gguf")
        #expect(message("\(folder)/missing.gguf").contains("\"\(key)\""), "\(key) missing: \(message("\(folder)/missing.gguf"))")
      }
      #expect(cases.count > 140)
    }
  }

  @Test func tensorsAreRefusedByName() throws {
    try Fixtures.withTemporaryFolder { folder in
      let right = try Parts("llama", folder)
      func change(_ name: String, _ body: (inout Parts, Int) -> Void) throws -> String {
        var parts = right
        body(&parts, try #require(parts.tensors.firstIndex { $0.name == name }))
        try parts.write(folder + "/t.gguf")
        return message(folder + "/t.gguf")
      }
      for tensor in right.tensors.prefix(12) {
        // A tensor that is missing, of another shape, of one axis more, of none.
        let name = tensor.name
        let shapes: [[Int]?] = [nil, tensor.shape.map { $0 + 32 }, [1] + tensor.shape, []]
        for shape in shapes {
          let found = try change(name) { parts, place in
            parts.tensors.remove(at: place)
            if let shape { parts.tensors.insert(GGUFPlan(name: name, type: tensor.type, shape: shape), at: place) }
          }
          #expect(found != "accepted" && !found.isEmpty, "\(name) \(String(describing: shape)): \(found)")
        }
        // A kind of number that weights have not.
        let found = try change(name) { $0.tensors[$1] = GGUFPlan(name: name, type: .i32, shape: tensor.shape) }
        #expect(found.contains(name), "\(name) of I32: \(found)")
      }
      let head = try #require(right.metadata.first { $0.0 == "llama.rope.dimension_count" }?.1.int)
      for (count, value): (Int, Float) in [
        (0, 1), (head, 1), (head / 2, 0), (head / 2, -1), (head / 2, .nan), (head / 2, .infinity), (1, 1),
      ] {
        var parts = right
        parts.tensors.append(GGUFPlan(name: "rope_freqs.weight", type: .f32, shape: [count]))
        parts.bytes["rope_freqs.weight"] = (0..<count).flatMap { _ in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } }
        try parts.write(folder + "/f.gguf")
        #expect(message(folder + "/f.gguf").contains("rope_freqs.weight"), "\(count) factors of \(value): \(message(folder + "/f.gguf"))")
      }
      var extra = right
      extra.tensors.append(GGUFPlan(name: "blk.0.attn_magic.weight", type: .f32, shape: [8]))
      try extra.write(folder + "/e.gguf")
      #expect(message(folder + "/e.gguf").contains("attn_magic"))
    }
  }
}
