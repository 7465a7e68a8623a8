import Foundation
import SwiftletFormats
import TestSupport
import Testing

/// `swiftlet bench` on a GPU that is not there: all of it but the times.
@Suite struct BenchCommandTests {
  @Test func everyOperationRunsOnASimulatedGPU() throws {
    let result = try Command.run(["bench", "--simulated", "--json"])
    #expect(result.code == 0, "\(result.error)")
    let rows = try result.output.split(separator: "\n").map { try JSON(parsing: String($0)) }
    let names = Set(rows.compactMap { $0["op"]?.string })
    let wanted: Set = [
      "dequantize", "matmul", "lora-linear", "lora-linear-backward", "gated-mlp-backward", "attention", "attention-backward",
      "cross-entropy", "adamw-8bit", "rms-norm", "rms-norm-backward", "rope", "swiglu-backward", "add", "embedding",
    ]
    #expect(names.isSuperset(of: wanted), "\(wanted.subtracting(names)) missing")
    let head = try #require(rows.first { $0["op"]?.string == "cross-entropy" })
    let bytes = try #require(head["transient_bytes"]?.int)
    // The gradient of the hidden states, and a chunk of the logits beside it.
    #expect(bytes > 67_000_000 && bytes < 500_000_000, "\(bytes)")
  }

  @Test func aProfileCountsTheCallsOfAStep() throws {
    let model = try TinyModel(tokenizer: false)
    let result = try Command.run([
      "bench", "--train", model.path, "--simulated", "--profile", "--rank", "8", "--steps", "1", "--length", "16", "--optimizer",
      "adamW8bit",
    ])
    #expect(result.code == 0, "\(result.error)")
    #expect(result.output.contains("process start to first finished step"), "\(result.output)")
    for text in ["| kernel or product | calls |", "attention", "adam_update", "**all products**"] {
      #expect(result.output.contains(text), "\(text) is missing: \(result.output)")
    }
  }
}
