/// Processors that look at what was said before. All work on one row of logits, in place; a removed token has −∞.
public enum Penalty {
  /// Divides positive logits of ids that occurred by `penalty`, multiplies negative ones (Keskar et al., 2019).
  public static func repetition(_ logits: inout [Float], previous: [Int32], penalty: Float) {
    for id in Set(previous) where logits.indices.contains(Int(id)) {
      let value = logits[Int(id)]
      logits[Int(id)] = value < 0 ? value * penalty : value / penalty
    }
  }

  /// Takes `presence` from logits of ids that occurred, and `frequency` for each time that they did (OpenAI's penalties).
  public static func occurrence(_ logits: inout [Float], previous: [Int32], presence: Float, frequency: Float) {
    var counts: [Int32: Int] = [:]
    for id in previous { counts[id, default: 0] += 1 }
    for (id, count) in counts where logits.indices.contains(Int(id)) {
      logits[Int(id)] -= presence + frequency * Float(count)
    }
  }

  /// Removes tokens that would end a run of `size` ids that occurred before.
  public static func noRepeat(_ logits: inout [Float], previous: [Int32], size: Int) {
    guard size > 0, previous.count + 1 >= size else { return }
    let tail = previous.suffix(size - 1)
    guard previous.count >= size else { return }
    for start in 0...previous.count - size where previous[start..<start + size - 1].elementsEqual(tail) {
      remove(&logits, previous[start + size - 1])
    }
  }

  /// Removes ids.
  public static func suppress(_ logits: inout [Float], ids: [Int32]) {
    for id in ids { remove(&logits, id) }
  }

  /// Removes the last id of each sequence whose other ids end what was said.
  public static func forbid(_ logits: inout [Float], previous: [Int32], sequences: [[Int32]]) {
    for sequence in sequences {
      guard let last = sequence.last else { continue }
      // A longer sequence counts only where that many ids have been said: transformers' rule.
      if sequence.count > 1 && sequence.count > previous.count { continue }
      if previous.suffix(sequence.count - 1).elementsEqual(sequence.dropLast()) { remove(&logits, last) }
    }
  }

  /// Removes the ids that end a sequence while it is shorter than `minimum`.
  public static func minimumLength(_ logits: inout [Float], length: Int, minimum: Int, ends: [Int32]) {
    if length < minimum { suppress(&logits, ids: ends) }
  }

  private static func remove(_ logits: inout [Float], _ id: Int32) {
    if logits.indices.contains(Int(id)) { logits[Int(id)] = -.infinity }
  }
}
