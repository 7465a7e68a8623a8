import CPlatform
import Foundation

/// Processors that look at the distribution alone. All work on one row of logits, in place; a removed token has −∞. `keep` tokens at least
/// stay (where the rule of transformers knows such a number).
public enum Filter {
  /// Divides by the temperature.
  /// - Precondition: it is positive.
  public static func temperature(_ logits: inout [Float], _ temperature: Float) {
    precondition(temperature > 0, "temperature \(temperature) is not positive")
    for i in logits.indices { logits[i] /= temperature }
  }

  /// Keeps the `k` largest and what equals the smallest of them.
  public static func topK(_ logits: inout [Float], _ k: Int, keep: Int = 1) {
    let k = min(max(k, keep), logits.count)
    guard k > 0, k < logits.count else { return }
    let border = largest(logits, k)
    for i in logits.indices where logits[i] < border { logits[i] = -.infinity }
  }

  /// Keeps the smallest set of most probable tokens whose probabilities reach `p` (Holtzman et al., 2020).
  ///
  /// Probabilities are summed from the least one up, as in transformers. Only the tokens near the border are sorted: those of smaller binary
  /// exponents are summed exponent by exponent, which makes the time linear in the vocabulary.
  public static func topP(_ logits: inout [Float], _ p: Float, keep: Int = 1) {
    guard p < 1, !logits.isEmpty else { return }
    let probabilities = softmax(logits)
    var (sums, counts) = ([Double](repeating: 0, count: 256), [Int](repeating: 0, count: 256))
    for value in probabilities {
      sums[Int(value.exponentBitPattern)] += Double(value)
      counts[Int(value.exponentBitPattern)] += 1
    }
    // A margin for the rounding of the sums keeps the border among the sorted.
    let mass = Double(1 - p) - 1e-4
    var (first, below, removed) = (0, 0.0, 0)
    while first < 255, below + sums[first] < mass, removed + counts[first] <= logits.count - keep {
      below += sums[first]
      removed += counts[first]
      first += 1
    }
    for i in logits.indices where Int(probabilities[i].exponentBitPattern) < first { logits[i] = -.infinity }
    let order = logits.indices.filter { Int(probabilities[$0].exponentBitPattern) >= first }
      .sorted { (probabilities[$0], logits[$0], $1) < (probabilities[$1], logits[$1], $0) }
    var total = Float(below)
    for (place, id) in order.enumerated() {
      total += probabilities[id]
      if total > 1 - p || place >= order.count - keep { break }
      logits[id] = -.infinity
    }
  }

  /// Keeps tokens at least `p` times as probable as the most probable one (Nguyen et al., 2024).
  public static func minP(_ logits: inout [Float], _ p: Float, keep: Int = 1) {
    let probabilities = softmax(logits)
    let border = p * (probabilities.max() ?? 0)
    removeBelow(&logits, border: border, probabilities, keep: keep)
  }

  /// Keeps the tokens whose surprise is nearest to the entropy, up to a mass of `p` (Meister et al., 2023).
  public static func typical(_ logits: inout [Float], _ p: Float, keep: Int = 1) {
    guard !logits.isEmpty else { return }
    let probabilities = softmax(logits)
    let logs = logProbabilities(logits)
    let entropy = -zip(logs, probabilities).reduce(Float(0)) { $1.1 > 0 ? $0 + $1.0 * $1.1 : $0 }
    let distance = logs.map { abs(-$0 - entropy) }
    let order = logits.indices.sorted { (distance[$0], $0) < (distance[$1], $1) }
    var (total, last): (Float, Int) = (0, 0)
    for id in order {
      total += probabilities[id]
      if total < p { last += 1 }
    }
    last = min(max(last, keep - 1), order.count - 1)
    let border = distance[order[last]]
    for i in logits.indices where distance[i] > border { logits[i] = -.infinity }
  }

  /// Keeps tokens with probability `epsilon` at least (Hewitt et al., 2022).
  public static func epsilon(_ logits: inout [Float], _ epsilon: Float, keep: Int = 1) {
    removeBelow(&logits, border: epsilon, softmax(logits), keep: keep)
  }

  /// Keeps tokens with probability min(ε, √ε·exp(−entropy)) at least (Hewitt et al., 2022).
  public static func eta(_ logits: inout [Float], _ epsilon: Float, keep: Int = 1) {
    let (probabilities, logs) = (softmax(logits), logProbabilities(logits))
    let entropy = -zip(logs, probabilities).reduce(Float(0)) { $1.1 > 0 ? $0 + $1.0 * $1.1 : $0 }
    removeBelow(&logits, border: min(epsilon, epsilon.squareRoot() * Foundation.exp(-entropy)), probabilities, keep: keep)
  }

  private static func removeBelow(_ logits: inout [Float], border: Float, _ probabilities: [Float], keep: Int) {
    guard !logits.isEmpty else { return }
    let kept = largest(logits, min(max(keep, 1), logits.count))
    for i in logits.indices where probabilities[i] < border && logits[i] < kept { logits[i] = -.infinity }
  }

  /// The `k`-th largest value, by quickselect on a copy.
  static func largest(_ values: [Float], _ k: Int) -> Float {
    if k == 1 { return values.max() ?? -.infinity }
    var rest = values
    var (low, high) = (0, rest.count - 1)
    while low < high {
      let pivot = rest[(low + high) / 2]
      var (i, j) = (low, high)
      while i <= j {
        while rest[i] > pivot { i += 1 }
        while rest[j] < pivot { j -= 1 }
        if i <= j {
          rest.swapAt(i, j)
          i += 1
          j -= 1
        }
      }
      if k - 1 <= j { high = j } else if k - 1 >= i { low = i } else { break }
    }
    return rest[k - 1]
  }

  static func softmax(_ logits: [Float]) -> [Float] {
    let most = logits.max() ?? 0
    var result = logits
    result.withUnsafeMutableBufferPointer { values in
      guard let start = values.baseAddress else { return }
      swiftlet_exponentials(start, most, 1, values.count)
      swiftlet_scale(start, 1 / swiftlet_sum(start, values.count), start, values.count)
    }
    return result
  }

  static func logProbabilities(_ logits: [Float]) -> [Float] {
    let lse = logits.withUnsafeBufferPointer { $0.baseAddress.map { swiftlet_log_sum($0, logits.count) } ?? 0 }
    return logits.map { $0 - lse }
  }
}
