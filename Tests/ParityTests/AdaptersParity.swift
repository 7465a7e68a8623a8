import Foundation
import SwiftletFormats
import TestSupport

/// Adapters beyond plain LoRA: scores through the command, gradients through the library.
enum AdaptersParity {
  static func run(_ root: URL, _ tally: Tally) throws {
    for folder in Fixtures.folders(in: root) {
      do { try check(folder, tally) } catch { tally.fail(folder.lastPathComponent, oneLine(error)) }
    }
  }

  private static func check(_ folder: URL, _ tally: Tally) throws {
    let name = folder.lastPathComponent
    guard let base = try Fixtures.json(folder.appending(path: "parity.json"))["model"]?.string else {
      return tally.fail(name, "parity.json names no model")
    }
    let model = Fixtures.root.appending(path: "models/\(base)")
    let reference = try ModelsParity(model, model: model, label: " \(name)", tally)
    let wanted = try ReferenceTensors(folder.appending(path: "parity.safetensors"))
    let (full, padded) = (try reference.rows("full."), try reference.rows("padded."))
    let (answers, logits) = try Scores.run(model, full + padded, ["--adapter", folder.path])
    tally.check("\(name) full.logits") {
      difference(try logits.floats("logits.0"), try wanted.floats("full.logits"), absolute: 2e-4)
    }
    tally.check("\(name) padded.loss") {
      let found = try Scores.loss(Array(answers.dropFirst(full.count)), labels: reference.numbers, prefix: "padded.")
      return difference([found], try wanted.floats("padded.loss"), absolute: 2e-5)
    }
    GradientParity(reference).adapterGradients(folder.path, wanted, prefix: "grad.")
  }
}
