import Foundation
import SwiftletFormats
import Testing

@Suite struct GGUFTests {
  private var values: [(String, GGUFValue)] {
    [
      ("general.architecture", .string("test")), ("u8", .uint8(200)), ("i8", .int8(-100)), ("u16", .uint16(60000)), ("i16", .int16(-30000)),
      ("u32", .uint32(4_000_000_000)), ("i32", .int32(-5)), ("u64", .uint64(1 << 63 + 5)), ("i64", .int64(-(1 << 62))),
      ("f32", .float32(1.5)), ("f64", .float64(3.141592653589793)), ("yes", .bool(true)), ("text", .string("héllo 你")),
      ("ints", .array(GGUFArray([1, -2, 3] as [Int32]))), ("texts", .array(GGUFArray(["a", "", "é"]))),
      ("numbers", .array(GGUFArray([0.5, -1.25] as [Float]))), ("none", .array(GGUFArray([] as [String]))),
    ]
  }

  private func write(_ path: String) throws {
    let plans = [
      GGUFPlan(name: "a", type: .f32, shape: [3, 2]), GGUFPlan(name: "b", type: .q8_0, shape: [2, 32]),
      GGUFPlan(name: "c", type: .i8, shape: [5]),
    ]
    let writer = try GGUFWriter(path, metadata: values, tensors: plans)
    for (number, plan) in plans.enumerated() {
      let bytes = [UInt8](repeating: UInt8(number + 1), count: plan.byteCount ?? 0)
      // In two pieces, the first of one byte.
      try bytes.withUnsafeBytes { try writer.append(UnsafeRawBufferPointer(rebasing: $0[..<1])) }
      try bytes.withUnsafeBytes { try writer.append(UnsafeRawBufferPointer(rebasing: $0[1...])) }
    }
    try writer.finish()
    #expect(try GGUFWriter.byteCount(metadata: values, tensors: plans) == (Data(contentsOf: URL(filePath: path)).count))
  }

  @Test func writtenIsRead() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/a.gguf"
    try write(path)
    let file = try GGUFFile(path)
    #expect(file.header.version == 3 && file.header.alignment == 32)
    #expect(file.header.metadata.map(\.key) == values.map(\.0))
    for (key, value) in values { #expect(file[key] == value, "\(key)") }
    #expect(file["texts"]?.array?.strings == ["a", "", "é"] && file["ints"]?.array?.ints == [1, -2, 3])
    #expect(file["numbers"]?.array?.doubles == [0.5, -1.25] && file["u64"]?.int == nil && file["u32"]?.int == 4_000_000_000)
    #expect(file.tensors.map(\.shape) == [[3, 2], [2, 32], [5]] && file.tensors.map(\.type) == [.f32, .q8_0, .i8])
    for (number, tensor) in file.tensors.enumerated() {
      #expect(tensor.range.lowerBound % 32 == 0 && file.bytes(of: tensor).allSatisfy { $0 == number + 1 })
    }
    #expect(folder.names == ["a.gguf"])
  }

  @Test func unfinishedLeavesNothing() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/a.gguf"
    do {
      let writer = try GGUFWriter(path, metadata: [], tensors: [GGUFPlan(name: "a", type: .f32, shape: [2])])
      #expect(message { try writer.finish() }?.contains("tensor \"a\": 8 bytes are still missing") == true)
      let bytes = [UInt8](repeating: 0, count: 9)
      #expect(bytes.withUnsafeBytes { bytes in message { try writer.append(bytes) } }?.contains("9 bytes too many") == true)
    }
    #expect(folder.names.isEmpty)
  }

  @Test func wrongPlansAreRefused() throws {
    let folder = try TemporaryFolder()
    func refused(_ metadata: [(String, GGUFValue)], _ tensors: [GGUFPlan]) -> String {
      message { try GGUFWriter(folder.path + "/a.gguf", metadata: metadata, tensors: tensors) } ?? "accepted"
    }
    #expect(refused([("a", .bool(true)), ("a", .bool(true))], []).contains("key \"a\""))
    #expect(refused([("", .bool(true))], []).contains("key"))
    let good = GGUFPlan(name: "a", type: .f32, shape: [2])
    #expect(refused([], [good, good]).contains("tensor \"a\""))
    #expect(refused([], [GGUFPlan(name: String(repeating: "n", count: 64), type: .f32, shape: [2])]).contains("1 to 63 bytes"))
    #expect(refused([], [GGUFPlan(name: "a", type: .q4_K, shape: [2, 128])]).contains("rows are no multiple of 256"))
    #expect(refused([], [GGUFPlan(name: "a", type: .f32, shape: [1 << 40, 1 << 40])]).contains("too large"))
    #expect(folder.names.isEmpty)
  }

  @Test func typesHaveTheirNamesAndSizes() {
    #expect(GGUFType.allCases.count == 32)
    #expect(GGUFType.q4_K.description == "Q4_K" && GGUFType.bf16.description == "BF16" && GGUFType.iq4_NL.description == "IQ4_NL")
    #expect(GGUFType.q6_K.byteCount(of: [512, 6]) == 2520 && GGUFType.f32.byteCount(of: []) == 4)
  }
}
