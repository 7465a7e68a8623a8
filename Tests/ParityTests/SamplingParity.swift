import Foundation
import SwiftletFormats
import SwiftletOps
import TestSupport

/// Logit processors: each named key of a case's configuration is one processor of the library.
enum SamplingParity {
  static func run(_ root: URL, _ tally: Tally) throws {
    for name in Fixtures.names(in: root) where name.hasSuffix(".json") {
      let file = try Fixtures.json(root.appending(path: name))
      let logits = (file["logits"]?.array ?? []).map(\.flatFloats)
      let previous = (file["previous_ids"]?.array ?? []).map { ($0.ids ?? []).map(Int32.init) }
      for (index, entry) in (file["cases"]?.array ?? []).enumerated() {
        tally.check("\(name) \(index) \(entry["name"]?.string ?? "")") { try check(entry, logits, previous) }
      }
    }
  }

  private static func check(_ entry: JSON, _ logits: [[Float]], _ previous: [[Int32]]) throws -> String? {
    var steps: [(String, JSON)] = entry["config"]?.object.map { $0.map { ($0.key, $0.value) } } ?? []
    for pair in entry["config_in_order"]?.array ?? [] {
      if let pair = pair.array, pair.count == 2, let key = pair[0].string { steps.append((key, pair[1])) }
    }
    let (wanted, probabilities) = (entry["expected"]?.array, entry["probabilities"]?.array)
    guard !steps.isEmpty, (wanted ?? probabilities)?.count == logits.count else { return "no configuration, or not a row for each input" }
    for row in logits.indices {
      var found = logits[row]
      for (key, value) in steps {
        guard apply(key, value, &found, previous[row]) else { return "an unknown processor: \(key)" }
      }
      if let wanted, let reason = mismatch(found, wanted[row].flatFloats) { return "row \(row) \(reason)" }
      if let probabilities, let reason = mismatch(softmax(found), probabilities[row].flatFloats) {
        return "row \(row) probability \(reason)"
      }
    }
    return nil
  }

  private static func apply(_ key: String, _ value: JSON, _ logits: inout [Float], _ previous: [Int32]) -> Bool {
    let number = Float(value.double ?? 0)
    switch key {
    case "temperature": Filter.temperature(&logits, number)
    case "top_k": Filter.topK(&logits, Int(number))
    case "top_p": Filter.topP(&logits, number)
    case "min_p": Filter.minP(&logits, number)
    case "typical_p": Filter.typical(&logits, number)
    case "epsilon_cutoff": Filter.epsilon(&logits, number)
    case "eta_cutoff": Filter.eta(&logits, number)
    case "repetition_penalty": Penalty.repetition(&logits, previous: previous, penalty: number)
    case "presence_penalty": Penalty.occurrence(&logits, previous: previous, presence: number, frequency: 0)
    case "frequency_penalty": Penalty.occurrence(&logits, previous: previous, presence: 0, frequency: number)
    case "no_repeat_ngram_size": Penalty.noRepeat(&logits, previous: previous, size: Int(number))
    case "suppress_tokens": Penalty.suppress(&logits, ids: (value.ids ?? []).map(Int32.init))
    case "bad_words_ids":
      Penalty.forbid(&logits, previous: previous, sequences: (value.array ?? []).map { ($0.ids ?? []).map(Int32.init) })
    default: return false
    }
    return true
  }

  private static func softmax(_ logits: [Float]) -> [Float] {
    let most = logits.max() ?? 0
    let weights = logits.map { exp(Double($0 - most)) }
    let total = weights.reduce(0, +)
    return weights.map { Float($0 / total) }
  }

  /// Removed entries must be the same ones; the others lie within 1e-5.
  private static func mismatch(_ found: [Float], _ wanted: [Float]) -> String? {
    for (index, (a, b)) in zip(found, wanted).enumerated() where (a == -.infinity) != (b == -.infinity) {
      return "[\(index)] is \(a), want \(b)"
    }
    let finite = { (values: [Float]) in values.map { $0 == -.infinity ? 0 : $0 } }
    return difference(finite(found), finite(wanted), absolute: 1e-5)
  }
}
