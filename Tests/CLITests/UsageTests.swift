import Foundation
import Swiftlet
import TestSupport
import Testing

@Suite struct UsageTests {
  @Test func wrongUsageEndsWithTwo() throws {
    let wrong = [
      ["no-such-command"], ["generate"], ["generate", "m", "--prompt", "a", "--input", "b"],
      ["generate", "m", "--prompt", "a", "--top-p", "2"],
      ["score", "m"], ["doctor", "--no-such-flag"], ["doctor", "--device", "tpu"], ["export", "m", "--format", "nope", "--output", "o"],
      ["export", "m", "--format", "adapter", "--type", "float16", "--output", "o"], ["template", "--input", "-"], ["bench", "no-such-op"],
      ["train"], ["generate", "m", "--prompt", "a", "--max-tokens", "-1"],
      ["export", "m", "--format", "gguf", "--budget", "0.1", "--output", "o"],
      ["generate", "m", "--prompt", "a", "--weights", "float7"],
    ]
    for arguments in wrong {
      let result = try Command.run(arguments)
      #expect(result.code == 2, "\(arguments): \(result.code)")
      #expect(result.output.isEmpty, "\(arguments)")
      #expect(result.error.hasPrefix("error: "), "\(arguments): \(result.error)")
    }
  }

  @Test func failuresEndWithOneAndOneError() throws {
    let failing = [
      ["score", "/no/such/model", "--input", "-"], ["tokenize", "/no/such/model", "--input", "-"], ["train", "/no/such/recipe.yaml"],
      ["plan", "/no/such/recipe.yaml"], ["doctor", "--device", "cuda"], ["runs", "/no/such/run"], ["runs", "--in", "/no/such/folder"],
      ["export", "/no/such/run", "--format", "merged", "--output", "o"], ["bench", "--train", "/no/such/config.json"],
      ["template", "--template", "/no/such/file", "--input", "-"], ["chat", "/no/such/model"], ["score", "no/repository", "--input", "-"],
    ]
    for arguments in failing {
      let result = try Command.run(arguments)
      #expect(result.code == 1, "\(arguments): \(result.code) \(result.error)")
      #expect(result.output.isEmpty, "\(arguments)")
      #expect(
        result.error.hasPrefix("error: ") && result.error.components(separatedBy: "error: ").count == 2, "\(arguments): \(result.error)")
    }
  }

  @Test func helpGoesToStdoutWithExamples() throws {
    let commands = ["doctor", "plan", "train", "generate", "chat", "score", "tokenize", "template", "export", "bench", "runs"]
    for command in commands {
      let result = try Command.run([command, "--help"])
      #expect(result.code == 0)
      #expect(result.error.isEmpty)
      #expect(result.output.contains("EXAMPLES"), "\(command)")
      #expect(result.output.contains("--device") && result.output.contains("--json") && result.output.contains("--quiet"), "\(command)")
    }
    let root = try Command.run(["--help"]).output
    for command in commands { #expect(root.contains("  \(command) ")) }
    #expect(try Command.run(["--version"]).output == Version.text + "\n")
  }

  @Test func doctorSpeaksJSON() throws {
    let rows = try Command.rows(["doctor", "--json"])
    #expect(rows.count > 4)
    for row in rows { #expect(row["subject"]?.string != nil && row["status"]?.string != nil) }
  }

  @Test func noColourOutsideOfATerminal() throws {
    #expect(!(try Command.run(["runs", "/no/such/run"])).error.contains("\u{1B}"))
  }
}
