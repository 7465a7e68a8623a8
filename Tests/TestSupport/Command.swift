import Foundation
import SwiftletFormats

/// Runs the built `swiftlet`, as a user would.
package enum Command {
  package struct Failed: Error, CustomStringConvertible {
    package let description: String
    package init(description: String) { self.description = description }
  }

  package struct Result {
    package let code: Int32
    package let output: String
    package let error: String
  }

  /// The program beside the test bundle, or `$SWIFTLET_BINARY`.
  package static let binary: URL = {
    if let path = ProcessInfo.processInfo.environment["SWIFTLET_BINARY"] { return URL(filePath: path) }
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    return URL(filePath: own).deletingLastPathComponent().appending(path: "swiftlet")
  }()

  /// Runs `swiftlet arguments…`; both channels go through files, so that no pipe can fill up.
  ///
  /// - Parameters:
  ///   - input: what standard input holds.
  ///   - watch: is called with the running process, for example to send it a signal.
  package static func run(
    _ arguments: [String], environment: [String: String] = [:], input: String? = nil, watch: (Process) throws -> Void = { _ in }
  ) throws -> Result {
    let folder = try TemporaryFolder()
    let (out, err) = (folder.url.appending(path: "out"), folder.url.appending(path: "err"))
    for file in [out, err] { _ = FileManager.default.createFile(atPath: file.path, contents: nil) }
    let process = Process()
    process.executableURL = binary
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput =
      try input.map { text in
        let file = folder.url.appending(path: "in")
        try Data(text.utf8).write(to: file)
        return try FileHandle(forReadingFrom: file)
      } ?? FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: out)
    process.standardError = try FileHandle(forWritingTo: err)
    try process.run()
    try watch(process)
    process.waitUntilExit()
    let code = process.terminationReason == .uncaughtSignal ? -process.terminationStatus : process.terminationStatus
    return Result(
      code: code, output: String(decoding: try Data(contentsOf: out), as: UTF8.self),
      error: String(decoding: try Data(contentsOf: err), as: UTF8.self))
  }

  /// Runs a command that must succeed and print one JSON object a line.
  package static func rows(_ arguments: [String]) throws -> [JSON] {
    let result = try run(arguments)
    guard result.code == 0 else {
      throw Failed(description: "swiftlet \(arguments.first ?? "") ended with \(result.code): \(result.error.suffix(400))")
    }
    return try result.output.split(separator: "\n").map { try JSON(parsing: String($0)) }
  }
}
