import Foundation
import SwiftletFormats
import Testing

/// Files that no honest program writes, each refused by an error that names the tensor and the field.
@Suite struct HostileSafetensorsTests {
  private struct Case {
    let name: String
    let bytes: [UInt8]
    let parts: [String]

    init(_ name: String, _ bytes: [UInt8], _ parts: String...) {
      self.name = name
      self.bytes = bytes
      self.parts = parts
    }

    /// A header with its length before it and `data` zero bytes behind.
    init(_ name: String, header: String, data: Int = 0, _ parts: String...) {
      self.name = name
      bytes = length(UInt64(header.utf8.count)) + Array(header.utf8) + [UInt8](repeating: 0, count: data)
      self.parts = parts
    }
  }

  private static func length(_ value: UInt64) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

  private func tensor(_ dtype: String = "\"F32\"", _ shape: String = "[2]", _ offsets: String = "[0,8]") -> String {
    "{\"a\":{\"dtype\":\(dtype),\"shape\":\(shape),\"data_offsets\":\(offsets)}}"
  }

  private func two(_ a: String, _ b: String) -> String {
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":\(a)},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":\(b)}}"
  }

  private var cases: [Case] {
    let huge = "9223372036854775807"
    return [
      Case("empty", [], "header length: 8 bytes are wanted, the file has 0"), Case("seven bytes", [1, 2, 3, 4, 5, 6, 7], "header length"),
      Case("length 2^63", Self.length(1 << 63) + [0x7B], "header length: 9223372036854775808"),
      Case("length 2^64-1", Self.length(.max), "header length: 18446744073709551615"),
      Case("length over the limit", Self.length(100_000_001), "header length: 100000001 bytes; at most 100000000"),
      Case("length beyond the file", Self.length(100) + [0x7B, 0x7D], "header length: 100 bytes, but only 2 follow"),
      Case("length 0", Self.length(0), "header length: 0 bytes"), Case("length 1", Self.length(1) + [0x7B], "header length: 1 bytes"),
      Case("a pickle", [0x80, 2] + Array("ctorch\nstorage".utf8), "header length"),
      Case("a zip", Array("PK\u{3}\u{4}abcdefgh".utf8), "header length"),
      Case("starts with a space", header: " {}", "header: JSON starting with '{'"),
      Case("an array", header: "[]", "header: JSON starting with '{'"),
      Case("cut JSON", header: "{\"a\":", "header: not JSON, at 1:6"),
      Case("two documents", header: "{}{}", "header: not JSON", "after the end"),
      Case("NUL behind", header: "{}\0", "header: not JSON"),
      Case("not UTF-8", Self.length(7) + [0x7B, 0x22, 0xFF, 0x22, 0x3A, 0x31, 0x7D], "not UTF-8"),
      Case("duplicate tensor", header: "{\"a\":{},\"a\":{}}", "\"a\" stands twice"),
      Case("duplicate field", header: "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", "\"dtype\" stands twice"),
      Case("deep", header: String(repeating: "{\"a\":", count: 100_000), "nesting deeper"),
      Case("metadata is an array", header: "{\"__metadata__\":[]}", "__metadata__: an object of strings is wanted, found an array"),
      Case("metadata value is a number", header: "{\"__metadata__\":{\"k\":1}}", "__metadata__: \"k\" is a number, want a string"),
      Case("metadata value is null", header: "{\"__metadata__\":{\"k\":null}}", "__metadata__: \"k\" is null"),
      Case("tensor is a number", header: "{\"a\":1}", "tensor \"a\": header: an object is wanted, found a number"),
      Case("tensor is null", header: "{\"a\":null}", "tensor \"a\""),
      Case("no dtype", header: "{\"a\":{\"shape\":[],\"data_offsets\":[0,0]}}", "\"a\": dtype: missing"),
      Case("no shape", header: "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,0]}}", "\"a\": shape: missing"),
      Case("no offsets", header: "{\"a\":{\"dtype\":\"U8\",\"shape\":[0]}}", "\"a\": data_offsets: missing"),
      Case("unknown dtype", header: tensor("\"F31\""), data: 8, "\"a\": dtype: \"F31\" is unknown (known: BOOL"),
      Case("lower case dtype", header: tensor("\"f32\""), data: 8, "dtype: \"f32\" is unknown"),
      Case("dtype number", header: tensor("32"), data: 8, "dtype: a string"),
      Case("shape is a number", header: tensor("\"F32\"", "2"), data: 8, "shape: an array of integers is wanted, found a number"),
      Case("shape holds a string", header: tensor("\"F32\"", "[\"2\"]"), data: 8, "shape: [0] is a string"),
      Case("shape holds a fraction", header: tensor("\"F32\"", "[2.5]"), data: 8, "shape: [0] is a number, want a 63-bit integer"),
      Case("shape holds 2.0", header: tensor("\"F32\"", "[2.0]"), data: 8, "shape: [0]"),
      Case("shape holds null", header: tensor("\"F32\"", "[1,null]"), data: 8, "shape: [1] is null"),
      Case("negative size", header: tensor("\"F32\"", "[-2]"), data: 8, "shape: [0] is -2, want no negative"),
      Case("two negative sizes", header: tensor("\"F32\"", "[-1,-2]"), data: 8, "shape: [0] is -1"),
      Case("size 2^64", header: tensor("\"F32\"", "[18446744073709551616]"), data: 8, "shape: [0] is a number, want a 63-bit integer"),
      Case("product overflows", header: tensor("\"F32\"", "[4294967296,4294967296]"), data: 8, "shape: [4294967296, 4294967296]"),
      Case("bits overflow", header: tensor("\"F32\"", "[\(huge)]"), data: 8, "\"a\": shape: [\(huge)] of F32"),
      Case("overflow hidden by 0", header: tensor("\"F32\"", "[\(huge),\(huge),0]", "[0,0]"), "\"a\": shape"),
      Case("half a byte", header: tensor("\"F4\"", "[3]", "[0,1]"), data: 1, "shape: [3] of F4 fills no whole number of bytes"),
      Case("one offset", header: tensor("\"F32\"", "[2]", "[8]"), data: 8, "data_offsets: two numbers are wanted, found 1"),
      Case("three offsets", header: tensor("\"F32\"", "[2]", "[0,8,8]"), data: 8, "data_offsets: two numbers"),
      Case("offsets reversed", header: tensor("\"F32\"", "[2]", "[8,0]"), data: 8, "data_offsets: the end 0 is before the start 8"),
      Case("negative offset", header: tensor("\"F32\"", "[2]", "[-8,0]"), data: 8, "data_offsets: [0] is -8"),
      Case("offsets are strings", header: tensor("\"F32\"", "[2]", "[\"0\",\"8\"]"), data: 8, "data_offsets: [0] is a string"),
      Case(
        "range and shape differ", header: tensor("\"F32\"", "[2]", "[0,4]"), data: 4, "data_offsets: 4 bytes, but shape [2] of F32 needs 8"),
      Case(
        "offsets overflow", header: tensor("\"U8\"", "[1]", "[9223372036854775806,\(huge)]"), "\"a\": data_offsets: \(huge) is too large"),
      Case("offset 1e400", header: tensor("\"F32\"", "[2]", "[0,1e400]"), "out of range"),
      Case("beyond the file", header: tensor(), data: 7, "\"a\": data_offsets: ends at byte", "a download cut short?"),
      Case("bytes behind", header: tensor(), data: 9, "data_offsets: the last tensor ends at byte"),
      Case("bytes without tensors", header: "{}", data: 1, "data_offsets"),
      Case("hole at the start", header: tensor("\"F32\"", "[2]", "[4,12]"), data: 12, "\"a\": data_offsets: a hole of 4 bytes"),
      Case("hole", header: two("[0,4]", "[5,9]"), data: 9, "\"b\": data_offsets: a hole of 1 bytes"),
      Case("overlap", header: two("[0,4]", "[3,7]"), data: 7, "\"b\": data_offsets: an overlap of 1 bytes"),
      Case("the same bytes twice", header: two("[0,4]", "[0,4]"), data: 4, "\"b\": data_offsets: an overlap of 4 bytes"),
    ]
  }

  @Test func filesAreRefused() throws {
    let folder = try TemporaryFolder()
    for (number, hostile) in cases.enumerated() {
      let path = try folder.write("\(number).safetensors", hostile.bytes)
      let found = message { try SafetensorsFile(path) } ?? "accepted"
      for part in hostile.parts + [path] { #expect(found.contains(part), "\(hostile.name): \(found.prefix(300))") }
    }
    #expect(cases.count >= 55)
  }

  @Test func whatIsAllowed() throws {
    let folder = try TemporaryFolder()
    for (header, data) in [
      ("{}", 0), ("{}   \n", 0), ("{\"__metadata__\":{}}", 0), (tensor(), 8), (tensor("\"F32\"", "[0,\(Int32.max)]", "[0,0]"), 0),
      (two("[4,8]", "[0,4]"), 8), (tensor("\"F4\"", "[3,2]", "[0,3]"), 3), (tensor("\"F8_E4M3\"", "[]", "[0,1]"), 1),
      ("{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1],\"more\":null}}", 1),
    ] {
      let bytes = Self.length(UInt64(header.utf8.count)) + Array(header.utf8) + [UInt8](repeating: 0, count: data)
      #expect(message { try SafetensorsFile(try folder.write("a.safetensors", bytes)) } == nil, "\(header)")
    }
  }

  @Test func indicesAreRefused() throws {
    let folder = try TemporaryFolder()
    try folder.write("shard.safetensors", Self.length(UInt64(tensor().utf8.count)) + Array(tensor().utf8) + [UInt8](repeating: 0, count: 8))
    try folder.write("bad.safetensors", [1, 2, 3])
    func map(_ file: String) -> String { "{\"weight_map\":{\"a\":\(file)}}" }
    let cases: [(String, String)] = [
      ("", "index: not JSON"), ("[]", "weight_map: missing"), ("{}", "weight_map: missing"),
      ("{\"weight_map\":[]}", "weight_map: an object is wanted"),
      (map("1"), "tensor \"a\": weight_map: a number"), (map("null"), "weight_map: null"),
      (map("\"../shard.safetensors\""), "not a plain file name"),
      (map("\"/etc/passwd\""), "not a plain file name"), (map("\"..\""), "not a plain file name"), (map("\".\""), "not a plain file name"),
      (map("\"\""), "not a plain file name"), (map("\"a/b\""), "not a plain file name"), (map("\"a\\\\b\""), "not a plain file name"),
      (map("\"shard.safetensors\\u0000\""), "not a plain file name"), (map("\"none.safetensors\""), "\"none.safetensors\" is missing"),
      (map("\"bad.safetensors\""), "bad.safetensors: header length"),
      ("{\"weight_map\":{\"b\":\"shard.safetensors\"}}", "tensor \"b\": weight_map: the tensor is not in its shard"),
      ("{\"weight_map\":{\"a\":\"x\",\"a\":\"y\"}}", "\"a\" stands twice"),
    ]
    for (index, part) in cases {
      try folder.write("model.safetensors.index.json", index)
      let found = message { try SafetensorsShards(folder: folder.path) } ?? "accepted"
      #expect(found.contains(part), "\(index): \(found)")
    }
    try folder.write("model.safetensors.index.json", map("\"shard.safetensors\""))
    #expect(try SafetensorsShards(folder: folder.path).names == ["a"])
  }

  @Test func plansAreRefused() throws {
    let folder = try TemporaryFolder()
    let cases: [([SafetensorsPlan], String)] = [
      ([SafetensorsPlan(name: "a", dtype: .u8, shape: []), SafetensorsPlan(name: "a", dtype: .u8, shape: [])], "\"a\": name"),
      ([SafetensorsPlan(name: "__metadata__", dtype: .u8, shape: [])], "name: stands twice or is reserved"),
      ([SafetensorsPlan(name: "a", dtype: .f64, shape: [.max])], "shape"),
      ([SafetensorsPlan(name: "a", dtype: .f64, shape: [-1])], "shape"),
    ]
    for (plans, part) in cases {
      #expect(message { try SafetensorsWriter("\(folder.path)/a", tensors: plans) }?.contains(part) == true)
      #expect(message { try SafetensorsShardedWriter(folder: folder.path, tensors: plans) }?.contains(part) == true)
    }
    #expect(folder.names.isEmpty)
  }
}
