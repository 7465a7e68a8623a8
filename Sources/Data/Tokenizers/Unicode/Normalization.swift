/// The four Unicode normalisation forms, with the number of source scalars behind each result.
enum NormalizationForm: String, Sendable {
  case nfc = "NFC"
  case nfd = "NFD"
  case nfkc = "NFKC"
  case nfkd = "NFKD"

  var composes: Bool { self == .nfc || self == .nfkc }

  var inert: ScalarSet {
    switch self {
    case .nfc: Decompositions.shared.inertNFC
    case .nfd: Decompositions.shared.inertNFD
    case .nfkc: Decompositions.shared.inertNFKC
    case .nfkd: Decompositions.shared.inertNFKD
    }
  }

  /// The next stretch from `from` on that this form may change: some scalars that are not inert, and the one before them, which the
  /// first may join. Nil where the rest stays as it is.
  func nextChange(in text: Bytes, from: Int) -> Range<Int>? {
    var at = from
    // Text in ASCII needs no table.
    while at < text.count, text[at] < 0x80 { at += 1 }
    guard at < text.count else { return nil }
    let inert = inert
    while at < text.count {
      if text[at] < 0x80 {
        at += 1
        continue
      }
      let (c, next) = text.scalar(at: at)
      guard inert.contains(c) else { break }
      at = next
    }
    guard at < text.count else { return nil }
    let start = at > from ? text.before(at, low: from) : at
    while at < text.count {
      let (c, next) = text.scalar(at: at)
      if inert.contains(c) { break }
      at = next
    }
    return start..<at
  }

  /// Normalises scalars. `change` of a result: 0 it replaces one scalar, 1 it is inserted, -n it replaces one and n more vanish.
  func apply(_ scalars: [UInt32]) -> [Rewritten] {
    let decomposed = decompose(scalars)
    return composes ? Self.compose(decomposed) : decomposed
  }

  private func decompose(_ scalars: [UInt32]) -> [Rewritten] {
    let tables = Decompositions.shared
    let table = self == .nfc || self == .nfd ? tables.canonical : tables.compatible
    var result: [Rewritten] = []
    result.reserveCapacity(scalars.count)
    /// Marks that wait to be sorted by class, stably.
    var marks: [(order: UInt8, item: Rewritten)] = []
    func flush() {
      guard !marks.isEmpty else { return }
      if marks.count > 1 {
        let sorted = marks.enumerated().sorted { ($0.element.order, $0.offset) < ($1.element.order, $1.offset) }
        result += sorted.map(\.element.item)
      } else {
        result.append(marks[0].item)
      }
      marks.removeAll(keepingCapacity: true)
    }
    func push(_ c: UInt32, _ change: Int) {
      let order = tables.order(c)
      if order == 0 {
        flush()
        result.append(Rewritten(scalar: c, change: change))
      } else {
        marks.append((order, Rewritten(scalar: c, change: change)))
      }
    }
    for c in scalars {
      if c >= 0xAC00, c <= 0xD7A3 {
        let index = c - 0xAC00
        push(0x1100 + index / 588, 0)
        push(0x1161 + index % 588 / 28, 1)
        if index % 28 != 0 { push(0x11A7 + index % 28, 1) }
      } else if c >= 0xA0, let parts = table[c] {
        for (index, part) in parts.enumerated() { push(part, index == 0 ? 0 : 1) }
      } else {
        push(c, 0)
      }
    }
    flush()
    return result
  }

  private static func compose(_ first: UInt32, _ second: UInt32) -> UInt32? {
    if first >= 0x1100, first <= 0x1112, second >= 0x1161, second <= 0x1175 {
      return 0xAC00 + (first - 0x1100) * 588 + (second - 0x1161) * 28
    }
    if first >= 0xAC00, first <= 0xD7A3, (first - 0xAC00) % 28 == 0, second >= 0x11A8, second <= 0x11C2 {
      return first + second - 0x11A7
    }
    guard second >= 0x300 else { return nil }
    return Decompositions.shared.composites[UInt64(first) << 32 | UInt64(second)]
  }

  private static func compose(_ decomposed: [Rewritten]) -> [Rewritten] {
    let tables = Decompositions.shared
    var result: [Rewritten] = []
    result.reserveCapacity(decomposed.count)
    /// Where in `result` the starter stands to which marks may join, and the class of the last mark that did not.
    var starter: Int?
    var lastClass: UInt8?
    for item in decomposed {
      let order = tables.order(item.scalar)
      if let at = starter, lastClass == nil || (lastClass ?? 0) < order, let joined = compose(result[at].scalar, item.scalar) {
        result[at] = Rewritten(scalar: joined, change: result[at].change + item.change - 1)
        continue
      }
      if order == 0 {
        starter = result.count
        lastClass = nil
      } else if starter != nil {
        lastClass = order
      }
      result.append(item)
    }
    return result
  }
}

/// A scalar of a rewritten text and how it came to be; see `NormalizationForm.apply`.
struct Rewritten {
  var scalar: UInt32
  var change: Int
}
