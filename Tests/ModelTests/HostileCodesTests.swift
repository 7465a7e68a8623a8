import Foundation
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletModels
import Testing

/// Model folders whose shard index or 4-bit parts make no sense, each refused by an error that names the file, tensor or field.
@Suite struct HostileCodesTests {
  private func message(_ folder: String) -> String {
    do {
      _ = try ModelLoader.load(folder)
      return "accepted"
    } catch { return "\(error)" }
  }

  @Test func shardIndexes() throws {
    try Fixtures.withTemporaryFolder { folder in
      var options = ModelFile.Options(source: Fixtures.tinyLlama)
      options.shardBytes = 20_000
      try ModelFile.save(ModelLoader.load(Fixtures.tinyLlama), to: folder + "/m", options)
      let index = folder + "/m/model.safetensors.index.json"
      let right = try Fixtures.json(index)
      let map = right["weight_map"]?.object ?? JSONObject()
      let first = try #require(map.keys.first)
      let (own, shard) = ("model.safetensors.index.json", map[first]?.string ?? "")
      let other = try #require(map.first { $0.value.string != shard }?.value.string)
      func with(_ name: String, _ value: JSON) -> String {
        var changed = map
        changed[name] = value
        return JSON.object(JSONObject([("weight_map", .object(changed))])).serialized()
      }
      // Indexes that name each other, or themselves, are no safetensors files.
      try Data(JSON.object(JSONObject([("weight_map", .object(JSONObject([(first, .string(own))])))])).serialized().utf8)
        .write(to: URL(filePath: folder + "/m/second.index.json"))
      try FileManager.default.createDirectory(atPath: folder + "/m/inner", withIntermediateDirectories: true)
      try Data().write(to: URL(filePath: folder + "/m/empty.safetensors"))
      let cases: [(String, String)] = [
        ("", "index"), ("{", "index"), ("[]", "weight_map"), ("{}", "weight_map"), ("{\"weight_map\":null}", "weight_map"),
        ("{\"weight_map\":[]}", "weight_map"), ("{\"weight_map\":5}", "weight_map"), ("{\"weight_map\":\"a\"}", "weight_map"),
        ("{\"weight_map\":{},\"weight_map\":{}}", "weight_map"), (String(repeating: "[", count: 100_000), "index"),
        ("{\"weight_map\":{\"a\":\"\(shard)\"}}", "\"a\""), (with(first, .int(1)), first), (with(first, .null), first),
        (with(first, .array([])), first), (with(first, .string("")), first), (with(first, .string("..")), first),
        (with(first, .string("../m/\(shard)")), "plain file name"), (with(first, .string("/etc/passwd")), "plain file name"),
        (with(first, .string("a\\b")), "plain file name"), (with(first, .string("a\u{0}b")), "plain file name"),
        (with(first, .string("nowhere.safetensors")), "nowhere.safetensors"), (with(first, .string("inner")), "inner"),
        (with(first, .string("empty.safetensors")), "empty.safetensors"), (with(first, .string("config.json")), "config.json"),
        (with(first, .string(own)), own), (with(first, .string("second.index.json")), "second.index.json"),
        (with(first, .string(other)), first),
        (with("model.magic.weight", .string(shard)), "model.magic.weight"), ("{\"weight_map\":{}}", "missing"),
        (with(String(repeating: "n", count: 100_000), .string(shard)), "weight_map"),
      ]
      for (text, word) in cases {
        try Data(text.utf8).write(to: URL(filePath: index))
        let found = message(folder + "/m")
        #expect(found.contains(word) && found != "accepted", "\(text.prefix(80)): \(found.prefix(300))")
      }
    }
  }

  /// The tensors of a safetensors file, which may be changed and written again.
  private struct Stored {
    struct Entry {
      var name: String
      var dtype: SafetensorsDType
      var shape: [Int]
      var bytes: [UInt8]
    }
    var entries: [Entry]

    init(_ path: String) throws {
      let file = try SafetensorsFile(path)
      entries = file.entries.map { Entry(name: $0.name, dtype: $0.dtype, shape: $0.shape, bytes: Array(file.bytes(of: $0))) }
    }

    func write(_ path: String) throws {
      let plans = entries.map { SafetensorsPlan(name: $0.name, dtype: $0.dtype, shape: $0.shape) }
      let writer = try SafetensorsWriter(path, tensors: plans)
      for entry in entries { try entry.bytes.withUnsafeBytes { try writer.append($0) } }
      try writer.finish()
    }

    func without(_ name: String) -> Stored {
      var copy = self
      copy.entries.removeAll { $0.name == name }
      return copy
    }

    func with(_ name: String, _ dtype: SafetensorsDType, _ count: Int, _ bytes: [UInt8]) -> Stored {
      var copy = self
      for place in copy.entries.indices where copy.entries[place].name == name {
        copy.entries[place] = Entry(name: name, dtype: dtype, shape: [count], bytes: bytes)
      }
      return copy
    }

    func bytes(_ name: String) -> [UInt8] { entries.first { $0.name == name }?.bytes ?? [] }
  }

  /// The description of a matrix's codes with one value changed, or taken out.
  private func state(_ bytes: [UInt8], _ key: String, _ value: String) -> [UInt8]? {
    guard var json = (try? JSON(parsing: bytes))?.object else { return nil }
    guard let parsed = value.isEmpty ? JSON.null : try? JSON(parsing: value) else { return nil }
    json[key] = value.isEmpty ? nil : parsed
    return Array(JSON.object(json).serialized().utf8)
  }

  private func states(_ right: [UInt8]) -> [[UInt8]] {
    let values = ["", "null", "0", "-64", "1.5", "\"64\"", "[]", "1e300", "9223372036854775807"]
    let shapes = ["[1]", "[0,0]", "[-1,-1]", "[9223372036854775807,2]", "[96]", "[\"a\",\"b\"]"]
    var all: [[UInt8]] = [[], Array("{".utf8), Array("[]".utf8), Array("null".utf8), [0xFF, 0xFE], Array("{}".utf8)]
    for key in ["blocksize", "shape", "nested_blocksize"] { all += values.compactMap { state(right, key, $0) } }
    all += ["", "null", "\"0\"", "[]"].compactMap { state(right, "nested_offset", $0) }
    return all + shapes.compactMap { state(right, "shape", $0) }
  }

  @Test func fourBitParts() throws {
    let folder = NSTemporaryDirectory() + "swiftlet-hostile-codes-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try BitsAndBytesFile.save(ModelLoader.load(Fixtures.tinyLlama), to: folder, .init(source: Fixtures.tinyLlama))
    let path = folder + "/model.safetensors"
    let right = try Stored(path)
    let scales = try #require(right.entries.map(\.name).first { $0.hasSuffix("q_proj.weight.nested_absmax") })
    let weight = scales.replacingOccurrences(of: ".nested_absmax", with: "")
    let description = weight + ".quant_state.bitsandbytes__nf4"
    var cases: [Stored] = []
    // Missing, a byte short, empty, of another kind.
    for suffix in ["", ".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map"] {
      let bytes = right.bytes(weight + suffix)
      cases.append(right.without(weight + suffix))
      cases.append(right.with(weight + suffix, .u8, bytes.count - 1, Array(bytes.dropLast())))
      cases.append(right.with(weight + suffix, .u8, 0, []))
      cases.append(right.with(weight + suffix, .i64, bytes.count, [UInt8](repeating: 1, count: 8 * bytes.count)))
    }
    cases += states(right.bytes(description)).map { right.with(description, .u8, $0.count, $0) }
    for (index, hostile) in cases.enumerated() {
      try hostile.write(path)
      let found = message(folder)
      #expect(found.contains(weight), "case \(index): \(found.prefix(300))")
    }
    try right.write(path)
    #expect(message(folder) == "accepted" && cases.count >= 50, "\(cases.count) cases")
  }
}
