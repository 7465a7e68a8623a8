/// The scripts of Unicode 16.
enum UnicodeScripts {
  /// The code points of a script; nil for an unknown name. The key is in lower case, without spaces, hyphens and underscores.
  static func named(_ key: String) -> ScalarRanges? {
    scripts.first { $0.name == key }.map { ScalarRanges($0.ranges) }
  }

  /// The script by which text is cut: Unicode 9, kana and the prolonged sound mark count as Han, a space and what has no script as none.
  static func forSplitting(_ c: UInt32) -> Int? {
    switch c {
    case 0x20: return nil
    case 0x30FC: return han
    default: break
    }
    var low = 0
    var high = splitting.count
    while low < high {
      let middle = (low + high) / 2
      if splitting[middle].range.upperBound < c { low = middle + 1 } else { high = middle }
    }
    return low < splitting.count && splitting[low].range.contains(c) ? splitting[low].script : nil
  }

  private static let scripts: [(name: String, ranges: [ClosedRange<UInt32>])] = {
    var result: [(name: String, ranges: [ClosedRange<UInt32>])] = []
    for line in table.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard let name = words.first else { continue }
      if name != "+" { result.append((name.lowercased().filter { $0 != "_" }, [])) }
      for word in words.dropFirst() {
        let ends = word.split(separator: "-").compactMap { UInt32($0, radix: 16) }
        guard let first = ends.first, let last = ends.last, !result.isEmpty else { continue }
        result[result.count - 1].ranges.append(first...last)
      }
    }
    return result
  }()

  private static let han = scripts.firstIndex { $0.name == "han" } ?? 0

  /// Ranges of equal script, in order, of what Unicode 9 knew. Four code points had another script then.
  private static let splitting: [(range: ClosedRange<UInt32>, script: Int)] = {
    let kana = Set(scripts.indices.filter { ["hiragana", "katakana"].contains(scripts[$0].name) })
    func index(_ name: String) -> Int { scripts.firstIndex { $0.name == name } ?? 0 }
    let moved: [UInt32: Int] = [
      0x589: index("common"), 0x61C: index("common"), 0x953: index("devanagari"), 0x954: index("devanagari"),
    ]
    var result: [(range: ClosedRange<UInt32>, script: Int)] = []
    for (script, entry) in scripts.enumerated() {
      let old = OldUnicode.assigned(ScalarRanges(entry.ranges), in: 9).subtracting(ScalarRanges(scalars: Array(moved.keys)))
      result += old.ranges.map { ($0, kana.contains(script) ? han : script) }
    }
    result += moved.map { ($0...$0, $1) }
    return result.sorted { $0.range.lowerBound < $1.range.lowerBound }
  }()
}
