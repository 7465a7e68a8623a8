import Foundation
import SwiftletCUDA
import SwiftletFormats
import TestSupport
import Testing

/// The self-checks of a GPU on a driver that has none: what the host does for one is right without one.
@Suite struct GPUSelfTests {
  @Test func thePlatformsChecksHoldOnAFakeDriver() throws {
    try withFakeDriver(checkPlatform)
  }

  private func withFakeDriver(_ body: (_ folder: String, _ environment: [String: String]) throws -> Void) throws {
    if let error = CUDALibrary.nvrtc.status.error { return print("skipped: \(error)") }
    let folder = FileManager.default.temporaryDirectory.appending(path: "swiftlet-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    guard let library = try compile(into: folder) else { return print("skipped: there is no clang to compile the fake driver with") }
    let libraries = ["SWIFTLET_DRIVER", "SWIFTLET_CUBLASLT", "SWIFTLET_CUDNN"].map { ($0, library) }
    try body(folder, Dictionary(uniqueKeysWithValues: libraries + [("SWIFTLET_CACHE", folder)]))
  }

  private func checkPlatform(_ folder: String, _ environment: [String: String]) throws {
    // The driver knows the kernels of the platform's checks only.
    let arguments = ["doctor", "--selftest", "--device", "cuda", "--only", "platform", "--json"]
    let result = try Command.run(arguments, environment: environment)
    let rows = try result.output.split(separator: "\n").map { try JSON(parsing: String($0)) }
    #expect(rows.contains { $0["subject"]?.string == "gpu" && $0["finding"]?.string?.contains("Fake GPU") == true })
    // Its time does not pass, and the host's is not to be measured here.
    let checks = rows.compactMap { row in row["check"]?.string.map { (name: $0, passed: row["passed"]?.bool == true) } }
      .filter { !$0.name.hasPrefix("events:") && !$0.name.hasPrefix("costs:") }
    #expect(checks.count > 100, "\(result.error)")
    for check in checks { #expect(check.passed, "\(check.name)") }
    #expect(try !FileManager.default.contentsOfDirectory(atPath: folder + "/kernels").isEmpty)
  }

  /// The memory plan runs on a simulated GPU; here the same steps run on a driver, whose results mean nothing.
  @Test func runsTakeWhatWasPlannedToTheByte() throws {
    try withFakeDriver { folder, environment in
      var environment = environment
      environment["FAKE_IDLE"] = "1"
      let lean = ["--lean"]
      let modes = [
        [], ["--checkpoint", "everyBlock"], ["--checkpoint", "everyBlock", "--offload", "host"], lean, ["--weights", "bfloat16"],
        ["--length", "2048", "--batch", "1"] + lean, ["--length", "8192", "--batch", "1", "--attention", "cudnn"],
      ]
      for mode in modes {
        let fixed = [
          "bench", "--device", "cuda", "--train", try wideConfig(in: folder), "--steps", "2", "--json",
        ]
        let usual = mode.contains("--length") ? [] : ["--length", "256", "--batch", "4"]
        let weights = mode.contains("--weights") ? [] : ["--weights", "nf4"]
        let result = try Command.run(
          fixed + usual + weights + mode + ["--rank", "8", "--optimizer", "adamW8bit"], environment: environment)
        let row = try JSON(parsing: result.output)
        let taken = row["peak_bytes"]?.int
        #expect(taken != nil && taken == row["planned_peak_bytes"]?.int, "\(mode): \(result.output) \(result.error)")
      }
      try checkRun(in: folder, environment)
    }
  }

  /// Rows of all lengths: the steps that need most are found among them.
  private func checkRun(in folder: String, _ environment: [String: String]) throws {
    let recipe = """
      model: {source: \(Fixtures.projectRoot.path)/Nestling/model, weights: nf4, contextLength: 256}
      adapter: {lora: {rank: 16, alpha: 32}}
      data: {path: \(Fixtures.projectRoot.path)/Nestling/task/train.jsonl, layout: alpaca}
      plan: {steps: 12, batchSize: 4}
      saving: {every: 0}
      output: \(folder)/run
      """
    try recipe.write(toFile: folder + "/recipe.yaml", atomically: true, encoding: .utf8)
    let plan = try Command.run(["plan", folder + "/recipe.yaml", "--device", "cuda", "--json"], environment: environment)
    let run = try Command.run(["train", folder + "/recipe.yaml", "--device", "cuda", "--quiet"], environment: environment)
    let lines = try String(contentsOfFile: folder + "/run/metrics.jsonl", encoding: .utf8).split(separator: "\n")
    let peaks = try lines.compactMap { try JSON(parsing: String($0))["peak_memory_bytes"]?.int }
    let planned = try JSON(parsing: plan.output)["peak_bytes"]?.int ?? 0
    let taken = peaks.max() ?? .max
    // Which step needs most is a guess where rows have all lengths, and tiles of earlier steps stay.
    #expect(abs(Double(taken) / Double(planned) - 1) < 0.01, "\(planned) planned, \(taken) taken \(run.error)")
  }

  /// What a recipe asks for by name and cannot have is an error.
  @Test func attentionThatCuDNNRefusesEndsTheRun() throws {
    try withFakeDriver { folder, environment in
      let more = ["FAKE_IDLE": "1", "FAKE_REFUSAL": "1"]
      let arguments = [
        "bench", "--device", "cuda", "--train", try wideConfig(in: folder), "--attention", "cudnn",
      ]
      let result = try Command.run(
        arguments + ["--length", "8192", "--batch", "1", "--steps", "1", "--warm-up", "0"], environment: environment.merging(more) { $1 })
      #expect(result.code == 1 && result.error.contains("cuDNN") && result.error.contains("attention: cudnn"), "\(result.error)")
    }
  }

  /// Nestling's config with heads of 64 features, which cuDNN knows.
  private func wideConfig(in folder: String) throws -> String {
    let narrow = try String(contentsOfFile: Fixtures.projectRoot.path + "/Nestling/model/config.json", encoding: .utf8)
    let wide = narrow.replacingOccurrences(of: "\"head_dim\": 32", with: "\"head_dim\": 64")
    #expect(wide != narrow)
    try wide.write(toFile: folder + "/config.json", atomically: true, encoding: .utf8)
    return folder + "/config.json"
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
