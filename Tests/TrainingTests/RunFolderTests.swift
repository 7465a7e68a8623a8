import Foundation
import SwiftletTensorCore
import SwiftletTrainers
import TestSupport
import Testing

@Suite struct RunFolderTests {
  private func fill(_ folder: String, _ text: String = "hello") throws {
    for name in ["a.bin", "b.json"] { try Data((text + name).utf8).write(to: URL(filePath: folder + "/" + name)) }
  }

  @Test func oneProcessAtATime() throws {
    let temporary = try TemporaryFolder()
    let path = temporary.url.path + "/deep/run"
    var first: RunFolder? = try RunFolder(path)
    #expect(throws: RunFolderError.self) { try RunFolder(path) }
    #expect(first != nil)
    first = nil
    _ = try RunFolder(path)
  }

  @Test func savesAndRotates() throws {
    let temporary = try TemporaryFolder()
    let folder = try RunFolder(temporary.url.path)
    for step in [5, 10, 15, 100] {
      _ = try folder.save(step: step) { try fill($0) }
      try folder.rotate(keep: 2)
    }
    #expect(folder.checkpointSteps == [15, 100])
    #expect(try folder.newestGood { _ in Issue.record("a warning for a good checkpoint") } == 100)
    // The same step again stays as it was.
    _ = try folder.save(step: 100) { _ in Issue.record("written twice") }
  }

  /// Whatever bit of whatever file flips, the damage is seen and the checkpoint before is used.
  @Test func anyFlippedBit() throws {
    let temporary = try TemporaryFolder()
    let folder = try RunFolder(temporary.url.path)
    _ = try folder.save(step: 1) { try fill($0, "old") }
    let path = try folder.save(step: 2) { try fill($0, "new") }
    for name in ["a.bin", "b.json", "manifest.json"] {
      let file = URL(filePath: path + "/" + name)
      let good = try Data(contentsOf: file)
      for bit in stride(from: 0, to: 8 * good.count, by: name == "manifest.json" ? 3 : 1) {
        var bad = good
        bad[bit / 8] ^= 1 << UInt8(bit % 8)
        try bad.write(to: file)
        #expect(throws: CheckpointDamage.self, "\(name) bit \(bit)") { try Manifest.verify(path) }
      }
      try good.write(to: file)
      try Manifest.verify(path)
    }
    try Data("n".utf8).write(to: URL(filePath: path + "/a.bin"))
    var warnings: [String] = []
    #expect(try folder.newestGood { warnings.append($0) } == 1)
    #expect(warnings.count == 1 && warnings[0].contains("a.bin") && warnings[0].contains("checkpoint-2"))
    #expect(folder.checkpointSteps == [1])
  }

  /// A save that fails, or is cut off, leaves the older checkpoints and nothing else.
  @Test func interruptedSaves() throws {
    struct Stop: Error {}
    let temporary = try TemporaryFolder()
    var folder: RunFolder? = try RunFolder(temporary.url.path)
    _ = try folder?.save(step: 1) { try fill($0) }
    #expect(throws: Stop.self) {
      try folder?.save(step: 2) {
        try fill($0)
        throw Stop()
      }
    }
    folder = nil
    let leftover = temporary.url.appending(path: "checkpoint-3.tmp")
    try FileManager.default.createDirectory(at: leftover, withIntermediateDirectories: true)
    try fill(leftover.path)
    try Data().write(to: temporary.url.appending(path: ".recipe.yaml.1-1.tmp"))
    let again = try RunFolder(temporary.url.path)
    #expect(again.checkpointSteps == [1])
    #expect(Fixtures.names(in: temporary.url) == ["checkpoint-1"])
    #expect((try FileManager.default.contentsOfDirectory(atPath: temporary.url.path)).sorted() == [".lock", "checkpoint-1"])
  }

  @Test func publishReplacesInOneStep() throws {
    let temporary = try TemporaryFolder()
    let folder = try RunFolder(temporary.url.path)
    try folder.publish("final") { try fill($0, "one") }
    try folder.publish("final") { try fill($0, "two") }
    #expect(try String(contentsOf: temporary.url.appending(path: "final/a.bin"), encoding: .utf8) == "twoa.bin")
    #expect(Fixtures.names(in: temporary.url) == ["final"])
  }

  @Test func metricsAreCutAtTheCheckpoint() throws {
    let temporary = try TemporaryFolder()
    let file = temporary.url.appending(path: "metrics.jsonl")
    try Data("{\"step\":1}\n{\"step\":2}\n{\"step\":2,\"eval_loss\":1}\n{\"step\":3}\n{\"st".utf8).write(to: file)
    _ = try MetricsFile(file.path, keepingStepsUpTo: 2)
    #expect(try String(contentsOf: file, encoding: .utf8) == "{\"step\":1}\n{\"step\":2}\n{\"step\":2,\"eval_loss\":1}\n")
  }
}
