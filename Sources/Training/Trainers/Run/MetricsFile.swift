import SwiftletCPU
import SwiftletFormats
import SwiftletTracking

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// `metrics.jsonl`: a line a step and a line an evaluation. Lines that cannot be written now (disk full) are kept and written later.
package final class MetricsFile: EventSink {
  package let name = "metrics.jsonl"
  private let path: String
  private var pending: [UInt8] = []

  /// Opens the file for a run that goes on after `step` steps: later lines are dropped, also a last line that was cut off.
  package init(_ path: String, keepingStepsUpTo step: Int) throws {
    self.path = path
    guard Files.exists(path) else {
      try AtomicFile.write(path, bytes: [])
      return
    }
    let kept = try Files.read(path).split(separator: UInt8(ascii: "\n")).filter { line in
      guard let found = (try? JSON(parsing: line))?["step"]?.int else { return false }
      return found <= step
    }
    try AtomicFile.write(path, bytes: kept.flatMap { $0 + [UInt8(ascii: "\n")] })
  }

  package func receive(_ event: Event) throws {
    switch event {
    case .step(let metrics): try append(metrics.json)
    case .evaluation(let metrics): try append(metrics.json)
    default: break
    }
  }

  private func append(_ line: JSONObject) throws {
    pending += Array((JSON.object(line).serialized() + "\n").utf8)
    try flush()
  }

  /// Writes what waits.
  private func flush() throws {
    if pending.isEmpty { return }
    let file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o666)
    guard file >= 0 else { throw FileError("open", path, code: errno) }
    defer { close(file) }
    var done = 0
    while done < pending.count {
      let count = pending.withUnsafeBytes { write(file, $0.baseAddress.map { $0 + done }, $0.count - done) }
      if count < 0, errno == EINTR { continue }
      if count <= 0 { break }
      done += count
    }
    pending.removeFirst(done)
    if !pending.isEmpty { throw FileError("write", path, code: errno) }
  }

  /// Brings all lines to the disk, so that a checkpoint never knows more steps than the file.
  package func sync() throws {
    try flush()
    try Files.sync(path)
  }
}
