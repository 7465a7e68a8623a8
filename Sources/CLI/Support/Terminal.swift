import ArgumentParser
import Foundation
import Swiftlet

/// The two channels of a command: results to stdout, everything else to stderr.
enum Terminal {
  /// Whether stderr is a terminal that takes colours and moving lines.
  static let isInteractive = isatty(STDERR_FILENO) == 1 && !isDumb
  /// Whether stderr takes colours: a terminal, and `NO_COLOR` is not set (no-color.org: set and not empty).
  static let hasColor = isInteractive && (ProcessInfo.processInfo.environment["NO_COLOR"] ?? "").isEmpty

  private static var isDumb: Bool { ProcessInfo.processInfo.environment["TERM"] == "dumb" }

  /// Writes `text` to stdout as it is, at once.
  static func write(_ text: String) {
    put(text, to: STDOUT_FILENO)
  }

  /// Writes one line to stdout.
  static func line(_ text: String) {
    put(text + "\n", to: STDOUT_FILENO)
  }

  /// Writes one JSON object as a line to stdout.
  static func line(_ object: JSON) {
    line(object.serialized())
  }

  /// Writes `text` to stderr as it is.
  static func note(_ text: String) {
    put(text, to: STDERR_FILENO)
  }

  /// `text` in an ANSI colour where stderr takes colours.
  static func paint(_ text: String, _ code: Int) -> String {
    hasColor ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
  }

  /// Ends the process: help and version to stdout with 0, wrong usage to stderr with 2, a failure to stderr with 1.
  static func finish(with error: any Error, of root: (some ParsableCommand).Type) -> Never {
    if let code = error as? ExitCode { exit(code.rawValue) }
    let code = root.exitCode(for: error)
    if code == .success {
      line(root.fullMessage(for: error))
      exit(0)
    }
    if code == .validationFailure {
      let text = root.fullMessage(for: error)
      note(text.hasPrefix("Error: ") ? paint("error: ", 31) + text.dropFirst(7) + "\n" : text + "\n")
      exit(2)
    }
    note(paint("error: ", 31) + Failure.text(of: error) + "\n")
    exit(1)
  }

  /// Writes all bytes; a closed pipe ends the process through SIGPIPE, as a filter should.
  private static func put(_ text: String, to descriptor: Int32) {
    var text = text
    text.withUTF8 { bytes in
      var done = 0
      while done < bytes.count {
        let count = send(descriptor, bytes, done)
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { return }
        done += count
      }
    }
  }

  private static func send(_ descriptor: Int32, _ bytes: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int {
    guard let base = bytes.baseAddress else { return 0 }
    return Foundation.write(descriptor, base + start, bytes.count - start)
  }
}
