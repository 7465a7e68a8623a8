import Foundation
import SwiftletOps
import SwiftletTensorCore
import Testing

@Suite struct SamplingTests {
  @Test(.enabled(if: Fixtures.has("sampling/sampling.json"), "no sampling fixtures")) func processorsEqualTransformers() throws {
    let file = try Fixtures.json("sampling/sampling.json")
    let logits = (file["logits"] as? [[Any]] ?? []).map { flatten($0) }
    let previous = (file["previous_ids"] as? [[Int]] ?? []).map { $0.map(Int32.init) }
    var checked = 0
    for case let item as [String: Any] in file["cases"] as? [Any] ?? [] {
      let steps =
        (item["config_in_order"] as? [[Any]])?.map { ($0[0] as? String ?? "", $0[1]) }
        ?? (item["config"] as? [String: Any] ?? [:]).map { ($0.key, $0.value) }
      let expected = (item["expected"] as? [[Any]] ?? []).map { flatten($0) }
      for row in logits.indices {
        var found = logits[row]
        for (name, value) in steps { try apply(name, value, &found, previous[row]) }
        #expect(excess(found, expected[row], absolute: 1e-5) <= 0, "\(item["name"] ?? "") \(steps), row \(row)")
        checked += 1
      }
    }
    #expect(checked > 0)
  }

  private struct Unknown: Error { let name: String }

  private func apply(_ name: String, _ value: Any, _ logits: inout [Float], _ previous: [Int32]) throws {
    let number = (value as? NSNumber)?.floatValue ?? 0
    switch name {
    case "temperature": Filter.temperature(&logits, number)
    case "top_k": Filter.topK(&logits, Int(number))
    case "top_p": Filter.topP(&logits, number)
    case "min_p": Filter.minP(&logits, number)
    case "typical_p": Filter.typical(&logits, number)
    case "epsilon_cutoff": Filter.epsilon(&logits, number)
    case "eta_cutoff": Filter.eta(&logits, number)
    case "repetition_penalty": Penalty.repetition(&logits, previous: previous, penalty: number)
    case "no_repeat_ngram_size": Penalty.noRepeat(&logits, previous: previous, size: Int(number))
    case "suppress_tokens": Penalty.suppress(&logits, ids: (value as? [Int] ?? []).map(Int32.init))
    case "bad_words_ids": Penalty.forbid(&logits, previous: previous, sequences: (value as? [[Int]] ?? []).map { $0.map(Int32.init) })
    default: throw Unknown(name: name)
    }
  }

  @Test func drawsFollowTheDistribution() {
    let logits: [Float] = [0, 1, 2, -.infinity, 0.5]
    let total = logits.reduce(0) { $0 + exp($1) }
    var counts = [Int](repeating: 0, count: 5)
    for position in 0..<20_000 {
      let (token, _) = sample(logits: logits, previous: [], options: SamplingOptions(), random: Random(seed: 4), position: position)
      counts[Int(token)] += 1
    }
    for (id, count) in counts.enumerated() { #expect(abs(Float(count) / 20_000 - exp(logits[id]) / total) < 0.015) }
  }

  @Test func greedyTakesTheFirstOfEquals() {
    let (token, logProbability) = sample(logits: [1, 3, 3, 0], previous: [], options: .greedy, random: Random(seed: 0), position: 0)
    #expect(token == 1)
    #expect(abs(logProbability - (3 - log(exp(1) + 2 * exp(3) + 1))) < 1e-5)
  }

  @Test func occurrencePenaltiesCountTheAnswerOnly() {
    var options = SamplingOptions.greedy
    options.presencePenalty = 0.5
    options.frequencyPenalty = 0.25
    var logits: [Float] = [1, 1, 1]
    options.process(&logits, previous: [0, 0, 1, 1, 1], promptCount: 3)
    #expect(logits == [1, 0, 1])
  }

  @Test func topPOfALargeVocabularyKeepsWhatSortingKeeps() {
    for (seed, spread) in [(UInt64(1), Float(1)), (2, 4), (3, 0), (4, 12)] {
      let logits = Tensor.normal([20_000], standardDeviation: spread, random: Random(seed: seed)).array(Float.self)
      for p in [Float(0.1), 0.5, 0.9, 0.999] {
        var found = logits
        Filter.topP(&found, p)
        let kept = found.filter { $0 > -.infinity }.count
        // From the most probable down until the mass is reached, in float64.
        let total = logits.reduce(0.0) { $0 + exp(Double($1)) }
        var (mass, wanted) = (0.0, 0)
        for value in logits.sorted(by: >) where mass < Double(p) {
          mass += exp(Double(value)) / total
          wanted += 1
        }
        #expect(abs(kept - wanted) <= 1 + wanted / 500, "spread \(spread), p \(p): \(kept) kept, \(wanted) wanted")
        let least = found.filter { $0 > -.infinity }.min() ?? 0
        let removed = logits.indices.filter { found[$0] == -.infinity }.map { logits[$0] }
        #expect(removed.allSatisfy { $0 <= least })
      }
    }
  }
}
