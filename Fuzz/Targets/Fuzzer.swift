import Foundation

/// The target that `SWIFTLET_FUZZ` names, looked up once.
private let target: @Sendable (UnsafeRawBufferPointer) -> Void = {
  let name = ProcessInfo.processInfo.environment["SWIFTLET_FUZZ"] ?? ""
  guard let found = targets[name] else {
    FileHandle.standardError.write(Data("SWIFTLET_FUZZ names no target: \(targets.keys.sorted().joined(separator: " "))\n".utf8))
    exit(2)
  }
  return found
}()

/// Called by libFuzzer for every input. An error that a parser throws is fine; a trap, a sanitizer's report, or an input that takes
/// seconds is a finding.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  target(UnsafeRawBufferPointer(start: start, count: count))
  return 0
}

/// A file that is written anew for every input, in memory where the system has such a folder.
struct ScratchFile {
  let path: String

  init(_ suffix: String) {
    let folder = FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()
    path = "\(folder)/swiftlet-fuzz-\(getpid()).\(suffix)"
  }

  func write(_ bytes: UnsafeRawBufferPointer) {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    precondition(file >= 0, "cannot write \(path)")
    var done = 0
    while done < bytes.count, let base = bytes.baseAddress {
      let written = Foundation.write(file, base + done, bytes.count - done)
      precondition(written > 0, "cannot write \(path)")
      done += written
    }
    close(file)
  }
}
