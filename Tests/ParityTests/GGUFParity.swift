import Foundation
import Swiftlet
import SwiftletCPU
import SwiftletFormats
import TestSupport

/// GGUF files: every tensor's numbers through the library, logits and greedy text through the commands.
enum GGUFParity {
  static func run(_ root: URL, _ tally: Tally) throws {
    for name in Fixtures.names(in: root) where name.hasSuffix(".gguf") {
      let path = root.appending(path: name)
      let stem = String(name.dropLast(5))
      do {
        let numbers = try ReferenceTensors(root.appending(path: stem + ".expected.safetensors"))
        let facts = try Fixtures.json(root.appending(path: stem + ".expected.json"))
        let file = try GGUFFile(path.path)
        if facts["tensors"] != nil {
          try tensors(stem, file, facts, numbers, tally)
          commands(stem, path, facts, numbers, tally)
          tokenizer(stem, path, file, tally)
        } else {
          types(stem, file, numbers, tally)
          metadata(stem, file, tally)
        }
      } catch {
        tally.fail(name, oneLine(error))
      }
    }
  }

  /// The numbers of a tensor in file order.
  private static func floats(_ tensor: GGUFTensor, _ file: GGUFFile) -> [Float]? {
    let bytes = file.bytes(of: tensor)
    let count = tensor.dimensions.reduce(1, *)
    switch tensor.type {
    case .f32: return (0..<count).map { Float(bitPattern: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)) }
    case .f16: return (0..<count).map { Float(Float16(bitPattern: bytes.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self))) }
    case .bf16:
      return (0..<count).map { Float(bitPattern: UInt32(bytes.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self)) << 16) }
    default:
      guard BlockCodec.numbers(tensor.type.rawValue) != nil else { return nil }
      var numbers = [Float](repeating: .nan, count: count)
      numbers.withUnsafeMutableBufferPointer { BlockCodec.decode(tensor.type.rawValue, bytes, into: $0) }
      return numbers
    }
  }

  private static func tensors(_ stem: String, _ file: GGUFFile, _ facts: JSON, _ numbers: ReferenceTensors, _ tally: Tally) throws {
    for (name, entry) in facts["tensors"]?.object ?? JSONObject() {
      tally.check("\(stem) \(name)") {
        guard let tensor = file.tensor(name) else { return "missing" }
        guard tensor.type.description == entry["type"]?.string, tensor.shape == entry["shape_rows_cols"]?.ids else {
          return "\(tensor.type) \(tensor.shape), want \(entry["type"]?.string ?? "") \(entry["shape_rows_cols"]?.ids ?? [])"
        }
        guard let found = floats(tensor, file) else { return "type \(tensor.type) cannot be read" }
        let sum = found.reduce(0.0) { $0 + Double($1) }, size = found.reduce(0.0) { $0 + abs(Double($1)) }
        guard let wanted = entry["sum_f64"]?.double, let wantedSize = entry["abs_sum_f64"]?.double else { return "no sums" }
        if abs(size - wantedSize) > 1e-5 * wantedSize || abs(sum - wanted) > 1e-5 * wantedSize {
          return "sums \(sum), \(size), want \(wanted), \(wantedSize)"
        }
        guard numbers.has(name + ".first_rows") else { return nil }
        let rows = try numbers.floats(name + ".first_rows")
        return difference(Array(found.prefix(rows.count)), rows, absolute: 0, relative: 1e-6)
      }
    }
  }

  private static func commands(_ stem: String, _ path: URL, _ facts: JSON, _ numbers: ReferenceTensors, _ tally: Tally) {
    tally.check("\(stem) logits") {
      let (_, logits) = try Scores.run(path, [try numbers.integers("input_ids")], [])
      return difference(try logits.floats("logits.0"), try numbers.floats("logits"), absolute: 5e-4)
    }
    tally.check("\(stem) greedy") {
      guard let prompt = facts["greedy"]?["prompt"], let output = facts["greedy"]?["output"]?.ids else { return "no greedy ids" }
      let folder = try TemporaryFolder()
      let input = try folder.rows("rows.jsonl", [.object(JSONObject([("input_ids", prompt)]))])
      let answers = try Command.rows([
        "generate", path.path, "--input", input.path, "--max-tokens", "\(output.count)", "--temperature", "0", "--ignore-eos", "--json",
        "--quiet",
      ])
      return difference(answers.first?["tokens"]?.ids ?? [], output)
    }
  }

  /// Ids of texts, compared with the tokenizer folder that the file's vocabulary comes from.
  private static func tokenizer(_ stem: String, _ path: URL, _ file: GGUFFile, _ tally: Tally) {
    let original = Fixtures.root.appending(path: "tokenizers/bytelevel-llama3-512")
    guard Fixtures.exists(original), file["tokenizer.ggml.tokens"]?.array?.count == 512 else { return }
    tally.check("\(stem) tokenizer") {
      let folder = try TemporaryFolder()
      let texts = ["Hello world", " The quick brown fox, 12345!\n\n  <|eot_id|>", "héllo 你"]
      let input = try folder.rows("rows.jsonl", texts.map { .object(JSONObject([("text", .string($0))])) })
      func ids(_ model: String) throws -> [[Int]] {
        try Command.rows(["tokenize", model, "--input", input.path, "--json", "--quiet"]).map { $0["ids"]?.ids ?? [] }
      }
      return try zip(ids(path.path), ids(original.path)).lazy.compactMap { difference($0, $1) }.first
    }
  }

  private static func types(_ stem: String, _ file: GGUFFile, _ numbers: ReferenceTensors, _ tally: Tally) {
    for tensor in file.tensors where numbers.has(tensor.name) {
      tally.check("\(stem) \(tensor.name)") {
        guard let found = floats(tensor, file) else { return "type \(tensor.type) cannot be read" }
        return difference(found, try numbers.floats(tensor.name), absolute: 0, relative: 1e-6)
      }
      let type = String(tensor.name.dropFirst(2))
      guard numbers.has("source." + type), [.q8_0, .q4_0, .q4_K, .q5_K, .q6_K].contains(tensor.type) else { continue }
      tally.check("\(stem) quantise \(type)") {
        let source = try numbers.floats("source." + type)
        var bytes = [UInt8](repeating: 0, count: tensor.range.count)
        source.withUnsafeBufferPointer { x in bytes.withUnsafeMutableBytes { BlockCodec.encode(tensor.type.rawValue, x, into: $0) } }
        var own = [Float](repeating: .nan, count: source.count)
        bytes.withUnsafeBytes { bytes in own.withUnsafeMutableBufferPointer { BlockCodec.decode(tensor.type.rawValue, bytes, into: $0) } }
        func error(_ y: [Float]) -> Double { zip(source, y).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) } }
        let (ours, theirs) = (error(own), error(try numbers.floats(tensor.name)))
        return ours <= theirs * 1.000001 ? nil : "squared error \(ours), ggml's is \(theirs)"
      }
    }
  }

  private static func metadata(_ stem: String, _ file: GGUFFile, _ tally: Tally) {
    let wanted: [(String, GGUFValue)] = [
      ("test.u8", .uint8(200)), ("test.i8", .int8(-100)), ("test.u16", .uint16(60000)), ("test.i16", .int16(-30000)),
      ("test.u32", .uint32(4_000_000_000)), ("test.i32", .int32(-5)), ("test.u64", .uint64(9_223_372_036_854_775_813)),
      ("test.i64", .int64(-4_611_686_018_427_387_904)), ("test.f32", .float32(1.5)), ("test.f64", .float64(3.141592653589793)),
      ("test.bool", .bool(true)), ("test.string", .string("héllo 你")), ("test.arr_i", .array(GGUFArray([1, 2, 3] as [Int32]))),
      ("test.arr_s", .array(GGUFArray(["a", "", "é"]))), ("test.arr_f", .array(GGUFArray([0.5, -1.25] as [Float]))),
    ]
    for (key, value) in wanted where file[key] != nil {
      tally.check("\(stem) \(key)") { file[key] == value ? nil : "found \(file[key].map { "\($0)" } ?? "nothing")" }
    }
  }
}
