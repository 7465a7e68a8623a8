import Foundation
import TestSupport
import Testing

/// Every kind of reference result, one after another: each prints `KIND: N passed, N failed, N skipped`.
@Suite(.serialized) struct ParityTests {
  /// How each kind of folder is checked. A folder that stands in no line here counts as failed.
  static let kinds: [(name: String, check: @Sendable (URL, Tally) throws -> Void)] = [
    ("models", ModelsParity.run),
    ("tokenizers", TokenizersParity.run),
    ("chat_templates", TemplatesParity.run),
    ("sft_pipeline", PipelineParity.run),
    ("peft_variants", AdaptersParity.run),
    ("sampling", SamplingParity.run),
    ("optim", OptimizersParity.run),
    ("losses", LossesParity.run),
    ("quant", QuantParity.run),
    ("gguf", GGUFParity.run),
    ("preference_e2e", later("preference training comes after supervised fine-tuning")),
    ("datasets", later("Parquet and the hub's datasets come later; the JSONL files here have no expected values")),
  ]

  private static func later(_ reason: String) -> @Sendable (URL, Tally) throws -> Void {
    { folder, tally in tally.skip(reason, Fixtures.names(in: folder).count { !$0.hasSuffix(".md") && !$0.hasSuffix(".txt") }) }
  }

  @Test(.enabled(if: Fixtures.isPresent, "no fixtures: set SWIFTLET_FIXTURES")) func parity() throws {
    let asked = (ProcessInfo.processInfo.environment["SWIFTLET_PARITY_KINDS"] ?? "").split(separator: " ").map(String.init)
    let present = Fixtures.folders(in: Fixtures.root).map(\.lastPathComponent)
    var report = ""
    for name in asked.isEmpty ? present : asked {
      let tally = Tally(name)
      try run(name, tally)
      print(tally.report)
      report += tally.report + "\n"
      try write(report)
      #expect(tally.failures.isEmpty, "\(name): \(tally.failures.count) failed, first: \(tally.failures.first ?? "")")
    }
  }

  private func run(_ name: String, _ tally: Tally) throws {
    let folder = Fixtures.root.appending(path: name, directoryHint: .isDirectory)
    guard Fixtures.isFolder(folder) else { return tally.fail(name, "no such folder in \(Fixtures.root.path)") }
    guard let kind = Self.kinds.first(where: { $0.name == name }) else { return tally.fail(name, "an unknown kind of reference result") }
    do { try kind.check(folder, tally) } catch { tally.fail(name, "\(error)") }
  }

  private func write(_ report: String) throws {
    guard let path = ProcessInfo.processInfo.environment["SWIFTLET_PARITY_REPORT"] else { return }
    try Data(report.utf8).write(to: URL(filePath: path))
  }
}
