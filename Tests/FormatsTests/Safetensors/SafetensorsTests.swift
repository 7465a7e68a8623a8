import Foundation
import SwiftletFormats
import Testing

@Suite struct SafetensorsTests {
  private let plans = [
    SafetensorsPlan(name: "wide", dtype: .f64, shape: [2, 3]), SafetensorsPlan(name: "none", dtype: .f32, shape: [0, 4]),
    SafetensorsPlan(name: "one", dtype: .bf16, shape: []), SafetensorsPlan(name: "odd", dtype: .u8, shape: [3]),
    SafetensorsPlan(name: "last", dtype: .i8, shape: [0]),
  ]

  private func bytes(_ plan: SafetensorsPlan) -> [UInt8] {
    let seed = plan.name.utf8.reduce(0) { ($0 &* 31) &+ Int($1) }
    return (0..<(plan.dtype.byteCount(of: plan.shape) ?? 0)).map { UInt8(truncatingIfNeeded: seed &+ $0 &* 7) }
  }

  @Test func writtenFilesReadBack() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/a.safetensors"
    let writer = try SafetensorsWriter(path, tensors: plans, metadata: [("format", "pt"), ("é", "ü\n")])
    for plan in plans {
      for byte in bytes(plan) { try [byte].withUnsafeBytes { try writer.append($0) } }
      #expect(folder.names.allSatisfy { $0.hasSuffix(".tmp") })
    }
    try writer.finish()
    #expect(folder.names == ["a.safetensors"])
    let file = try SafetensorsFile(path)
    #expect(Set(file.entries.map(\.name)) == Set(plans.map(\.name)))
    #expect(file.metadata == ["format": "pt", "é": "ü\n"])
    for plan in plans {
      let entry = try #require(file[plan.name])
      #expect(entry.dtype == plan.dtype && entry.shape == plan.shape)
      #expect(Array(file.bytes(of: entry)) == bytes(plan))
      #expect(plan.name == "odd" || entry.range.lowerBound % 8 == 0 || plan.name == "last")
    }
    #expect(file["nothing"] == nil)
  }

  @Test func unfinishedFilesLeaveNothing() throws {
    let folder = try TemporaryFolder()
    do {
      let writer = try SafetensorsWriter("\(folder.path)/a.safetensors", tensors: plans)
      try [UInt8](repeating: 1, count: 5).withUnsafeBytes { try writer.append($0) }
      #expect(message { try writer.finish() }?.contains("\"wide\": data: 43 bytes are still missing") == true)
      #expect(message { try [UInt8](repeating: 1, count: 44).withUnsafeBytes { try writer.append($0) } }?.contains("43 are wanted") == true)
    }
    #expect(folder.names.isEmpty)
  }

  @Test func shardsAndIndex() throws {
    let folder = try TemporaryFolder()
    for (limit, files) in [(1 << 30, 1), (50, 2), (1, 3)] {
      let writer = try SafetensorsShardedWriter(folder: folder.path, tensors: plans, maxShardBytes: limit)
      for plan in plans { try bytes(plan).withUnsafeBytes { try writer.append($0) } }
      try writer.finish()
      let shards = try SafetensorsShards(folder: folder.path)
      #expect(shards.files.count == files)
      #expect(Set(shards.names) == Set(plans.map(\.name)))
      for plan in plans {
        let found = try shards.tensor(plan.name)
        #expect(Array(found.file.bytes(of: found.entry)) == bytes(plan))
      }
      #expect(message { try shards.tensor("wiide") }?.contains("the nearest is \"wide\"") == true)
    }
    let index = try JSON(parsing: try String(contentsOfFile: "\(folder.path)/model.safetensors.index.json", encoding: .utf8))
    #expect(index["metadata"]?["total_size"] == .int(53))
    #expect(index["weight_map"]?["one"]?.string?.hasPrefix("model-0000") == true)
  }

  @Test func missingFilesAreNamed() throws {
    let folder = try TemporaryFolder()
    #expect(message { try SafetensorsShards(folder: folder.path) }?.contains("neither model.safetensors nor") == true)
    try folder.write("pytorch_model.bin", "x")
    #expect(message { try SafetensorsShards(folder: folder.path) }?.contains("pickle") == true)
    #expect(
      message { try SafetensorsFile("\(folder.path)/no.safetensors") }?.contains("cannot open \(folder.path)/no.safetensors: No such file")
        == true)
    #expect(message { try SafetensorsFile(folder.path) }?.contains("not a regular file") == true)
  }
}
