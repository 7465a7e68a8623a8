/// "Did you mean": the known name nearest to a wrong one.
package enum Suggestion {
  /// The name with the fewest edits (insert, remove, replace, swap neighbours) from `name`, where that is at most a third of its length
  /// and at least one; nil where nothing is near.
  package static func nearest(to name: String, among known: [String]) -> String? {
    let wanted = Array(name.utf8.prefix(200))
    let limit = max(1, wanted.count / 3)
    var best: (distance: Int, name: String)?
    for candidate in known.prefix(20_000) {
      let bytes = Array(candidate.utf8.prefix(200))
      guard abs(bytes.count - wanted.count) <= min(limit, (best?.distance ?? limit + 1) - 1) else { continue }
      let distance = edits(wanted, bytes)
      if distance <= limit, distance < best?.distance ?? .max { best = (distance, candidate) }
    }
    return best?.name
  }

  private static func edits(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var twoAgo: [Int] = []
    var last = Array(0...b.count)
    for i in 0..<a.count {
      var row = [i + 1]
      for j in 0..<b.count {
        let same = lower(a[i]) == lower(b[j])
        var cost = min(last[j] + (same ? 0 : 1), last[j + 1] + 1, row[j] + 1)
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, twoAgo[j - 1] + 1) }
        row.append(cost)
      }
      twoAgo = last
      last = row
    }
    return last[b.count]
  }

  private static func lower(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte + 32 : byte }
}
