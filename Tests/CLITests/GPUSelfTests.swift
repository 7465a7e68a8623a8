import Foundation
import SwiftletCUDA
import SwiftletFormats
import TestSupport
import Testing

/// The self-checks of a GPU on a driver that has none: what the host does for one is right without one.
@Suite struct GPUSelfTests {
  @Test func thePlatformsChecksHoldOnAFakeDriver() throws {
    if let error = CUDALibrary.nvrtc.status.error { return print("skipped: \(error)") }
    let folder = FileManager.default.temporaryDirectory.appending(path: "swiftlet-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    guard let library = try compile(into: folder) else { return print("skipped: there is no clang to compile the fake driver with") }
    let environment = [
      "SWIFTLET_DRIVER": library, "SWIFTLET_CUBLASLT": library, "SWIFTLET_CUDNN": library, "SWIFTLET_CACHE": folder,
    ]
    // The driver knows the kernels of the platform's checks only.
    let arguments = ["doctor", "--selftest", "--device", "cuda", "--only", "platform", "--json"]
    let result = try Command.run(arguments, environment: environment)
    let rows = try result.output.split(separator: "\n").map { try JSON(parsing: String($0)) }
    #expect(rows.contains { $0["subject"]?.string == "gpu" && $0["finding"]?.string?.contains("Fake GPU") == true })
    // Its time does not pass, and the host's is not to be measured here.
    let checks = rows.compactMap { row in row["check"]?.string.map { (name: $0, passed: row["passed"]?.bool == true) } }
      .filter { !$0.name.hasPrefix("events:") && !$0.name.hasPrefix("costs:") }
    #expect(checks.count > 100, "\(result.error)")
    #expect(checks.contains { $0.name == "cudnn: a graph" })
    for check in checks { #expect(check.passed, "\(check.name)") }
    #expect(try !FileManager.default.contentsOfDirectory(atPath: folder + "/kernels").isEmpty)
  }

  private func compile(into folder: String) throws -> String? {
    let source = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "FakeDriver/fake.c")
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["clang", "-O1", "-shared", "-fPIC", "-w", "-o", folder + "/libfake.so", source.path]
    try process.run()
    process.waitUntilExit()
    return process.terminationStatus == 0 ? folder + "/libfake.so" : nil
  }
}
