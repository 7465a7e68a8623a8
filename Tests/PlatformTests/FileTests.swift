import Foundation
import SwiftletCPU
import Testing

@Suite struct FileTests {
  private func inFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "swiftlet-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(folder)
  }

  @Test func whatIsWrittenIsMapped() throws {
    try inFolder { folder in
      let path = folder + "/a.bin"
      let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 * 31) }
      try AtomicFile.write(path) { writer in
        try bytes[..<10].withUnsafeBytes { try writer.write($0) }
        try bytes[10...].withUnsafeBytes { try writer.write($0) }
        try [UInt8(99)].withUnsafeBytes { try writer.write($0, at: 3) }
      }
      let file = try MappedFile(path: path, minimumCount: 100_000)
      for access in [MappedFile.Access.sequential, .random, .willNeed, .dontNeed, .normal] { file.advise(access, 5..<70_000) }
      #expect(file.withBytes { $0[3] } == 99)
      #expect(file.withBytes { $0[4...].elementsEqual(bytes[4...]) })
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a.bin"])
    }
  }

  @Test func aFailedWriteLeavesTheOldFile() throws {
    struct Stop: Error {}
    try inFolder { folder in
      let path = folder + "/a.txt"
      try AtomicFile.write(path, bytes: "old".utf8)
      #expect(throws: Stop.self) {
        try AtomicFile.write(path) { writer in
          try Array("new".utf8).withUnsafeBytes { try writer.write($0) }
          throw Stop()
        }
      }
      #expect(try MappedFile(path: path).withBytes { $0.elementsEqual("old".utf8) })
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a.txt"])
    }
  }

  @Test func errorsSayWhatAndWhere() throws {
    try inFolder { folder in
      try AtomicFile.write(folder + "/empty", bytes: [])
      #expect(try MappedFile(path: folder + "/empty").count == 0)
      let short = #expect(throws: FileError.self) { try MappedFile(path: folder + "/empty", minimumCount: 8) }
      #expect(short?.description.contains("wanted at least 8 bytes, the file has 0") == true)
      let missing = #expect(throws: FileError.self) { try MappedFile(path: folder + "/none") }
      #expect(missing?.code == ENOENT)
      #expect(throws: FileError.self) { try MappedFile(path: folder) }
      #expect(throws: FileError.self) { try AtomicFile.write(folder + "/none/x", bytes: [1]) }
    }
  }

  @Test func aFullDiskIsAClearError() {
    let error = FileError("write", "/x", code: ENOSPC)
    #expect(error.description.hasPrefix("cannot write /x: No space left on device: free some space"))
  }
}
