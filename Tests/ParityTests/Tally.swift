import Foundation
import Synchronization

/// What became of the cases of one kind: counted, and the reasons kept.
final class Tally: Sendable {
  private struct State {
    var passed = 0
    var failures: [String] = []
    var skips: [String: Int] = [:]
  }

  let kind: String
  private let state = Mutex(State())

  init(_ kind: String) { self.kind = kind }

  var failures: [String] { state.withLock { $0.failures } }

  func pass(_ count: Int = 1) { state.withLock { $0.passed += count } }

  func fail(_ name: String, _ reason: String) { state.withLock { $0.failures.append("\(name): \(reason)") } }

  func skip(_ reason: String, _ count: Int = 1) { state.withLock { $0.skips[reason, default: 0] += count } }

  /// Counts a case by what `body` returns: nil is a pass, a text is what was wrong. A thrown error is a failure, too.
  func check(_ name: String, _ body: () throws -> String?) {
    do {
      if let reason = try body() { fail(name, reason) } else { pass() }
    } catch {
      fail(name, oneLine(error))
    }
  }

  /// `KIND: N passed, N failed, N skipped`, then the reasons.
  var report: String {
    state.withLock { state in
      let skipped = state.skips.values.reduce(0, +)
      var lines = ["\(kind): \(state.passed) passed, \(state.failures.count) failed, \(skipped) skipped"]
      lines += state.failures.prefix(25).map { "  failed \($0.prefix(500))" }
      if state.failures.count > 25 { lines.append("  … \(state.failures.count - 25) more") }
      lines += state.skips.sorted { $0.key < $1.key }.map { "  skipped \($0.value): \($0.key)" }
      return lines.joined(separator: "\n")
    }
  }
}

/// An error's text on one line.
func oneLine(_ error: any Error) -> String {
  String(describing: error).split(separator: "\n").joined(separator: " | ").prefix(500).description
}
