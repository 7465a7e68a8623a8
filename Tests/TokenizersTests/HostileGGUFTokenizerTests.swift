import Foundation
import SwiftletFormats
import SwiftletTokenizers
import Testing

/// Tokenizers of GGUF files with values of wrong kinds and lengths, each refused by an error that names the key.
@Suite struct HostileGGUFTokenizerTests {
  private static let right: [(String, GGUFValue)] = [
    ("tokenizer.ggml.model", .string("gpt2")), ("tokenizer.ggml.pre", .string("qwen2")),
    ("tokenizer.ggml.tokens", .array(GGUFArray(["a", "b", "ab", "<e>"]))),
    ("tokenizer.ggml.token_type", .array(GGUFArray([1, 1, 1, 3] as [Int32]))), ("tokenizer.ggml.merges", .array(GGUFArray(["a b"]))),
    ("tokenizer.ggml.eos_token_id", .uint32(3)),
  ]
  private static let pieces: [(String, GGUFValue)] = [
    ("tokenizer.ggml.model", .string("llama")), ("tokenizer.ggml.tokens", .array(GGUFArray(["<unk>", "a", "b", "ab"]))),
    ("tokenizer.ggml.token_type", .array(GGUFArray([2, 1, 1, 1] as [Int32]))),
    ("tokenizer.ggml.scores", .array(GGUFArray([0, -1, -2, -3] as [Float]))),
  ]

  private func message(_ pairs: [(String, GGUFValue)], _ path: String) throws -> String {
    try GGUFWriter(path, metadata: pairs, tensors: []).finish()
    do {
      _ = try Tokenizer.load(folder: path)
      return "accepted"
    } catch { return "\(error)" }
  }

  @Test func refused() throws {
    let folder = NSTemporaryDirectory() + "swiftlet-hostile-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    #expect(try message(Self.right, folder + "/right.gguf") == "accepted")
    #expect(try message(Self.pieces, folder + "/pieces.gguf") == "accepted")
    let texts: GGUFValue = .array(GGUFArray(["a", "b", "c", "d"]))
    let scalars: [GGUFValue] = [.uint32(1), .float32(.nan), .bool(true)]
    var cases: [(isPieces: Bool, key: String, value: GGUFValue?)] = [(false, "model", nil), (false, "tokens", nil), (false, "merges", nil)]
    func add(_ key: String, _ values: [GGUFValue], pieces: Bool = false) { cases += values.map { (pieces, key, $0) } }
    add("model", scalars + [texts, .string("magic"), .string(""), .string("bert")])
    add(
      "tokens",
      scalars + [.string("a"), .array(GGUFArray([Int32]())), .array(GGUFArray([1, 2, 3, 4] as [Int32])), .array(GGUFArray([String]()))])
    add("token_type", scalars + [texts, .string("1111"), .array(GGUFArray([Int32]()))])
    add(
      "token_type",
      [[1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 7], [1, 1, 1, -1], [.max, 1, 1, 1]].map { .array(GGUFArray($0 as [Int32])) })
    add("token_type", [.array(GGUFArray([1, 1, 1, .nan] as [Float]))])
    add("merges", scalars + [.string("a b"), .array(GGUFArray([1, 2] as [Int32]))])
    add("pre", scalars + [texts, .string("magic")])
    for role in ["bos", "eos", "unknown", "padding"] { add(role + "_token_id", [.string("3"), .float32(3), .bool(true), texts]) }
    for flag in ["add_bos_token", "add_eos_token"] { add(flag, [.uint32(1), .string("true"), .float32(1), texts]) }
    add("scores", [.uint32(1), .string("0"), texts, .array(GGUFArray([0, 1, 2] as [Float])), .array(GGUFArray([Float]()))], pieces: true)
    add("scores", [.array(GGUFArray([0, 1, 2, .nan] as [Float])), .array(GGUFArray([0, 1, 2, -.infinity] as [Float]))], pieces: true)
    add("add_space_prefix", [.uint32(1), .string("yes")], pieces: true)
    for (index, hostile) in cases.enumerated() {
      let key = "tokenizer.ggml." + hostile.key
      let base = (hostile.isPieces ? Self.pieces : Self.right).filter { $0.0 != key }
      let found = try message(base + (hostile.value.map { [(key, $0)] } ?? []), "\(folder)/\(index).gguf")
      #expect(found.contains(key), "\(hostile): \(found.prefix(300))")
    }
    // Merges of tokens that are not there are found where the merges are read.
    for merges in [["a z"], ["a"], ["a b c"], [""], ["b a"]] {
      let found = try message(
        Self.right.filter { $0.0 != "tokenizer.ggml.merges" } + [("tokenizer.ggml.merges", .array(GGUFArray(merges)))], folder + "/m.gguf")
      #expect(found.contains("merges"), "\(merges): \(found)")
    }
    let template = try message(Self.right + [("tokenizer.chat_template", .uint32(1))], folder + "/t.gguf")
    #expect(template.contains("tokenizer.chat_template"))
    #expect(cases.count >= 65, "\(cases.count) cases")
  }
}
