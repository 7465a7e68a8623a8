/// A parsed regular expression in Oniguruma's Ruby syntax, as `tokenizer.json` files use it.
indirect enum RegexNode: Hashable, Sendable {
  /// One scalar of the set.
  case set(ScalarRanges)
  case sequence([RegexNode])
  case alternatives([RegexNode])
  case repeated(RegexNode, min: Int, max: Int?, RegexGreed)
  case look(RegexNode, ahead: Bool, negative: Bool)
  /// What matched inside is not tried again another way.
  case atomic(RegexNode)
  case place(RegexPlace)

  static let empty = RegexNode.sequence([])
}

enum RegexGreed: Hashable, Sendable { case greedy, lazy, possessive }

/// Assertions about the place alone.
enum RegexPlace: Hashable, Sendable {
  case textStart, textEnd, textEndOrLastLine, lineStart, lineEnd, wordBoundary, noWordBoundary
}

extension RegexNode {
  /// Whether the node can match without taking anything.
  var isNullable: Bool {
    switch self {
    case .set: false
    case .sequence(let nodes): nodes.allSatisfy(\.isNullable)
    case .alternatives(let nodes): nodes.contains(where: \.isNullable)
    case .repeated(let node, let min, _, _): min == 0 || node.isNullable
    case .look, .place: true
    case .atomic(let node): node.isNullable
    }
  }

  /// Every scalar with which a match that takes something can start.
  var firstScalars: ScalarRanges {
    switch self {
    case .set(let set): return set
    case .sequence(let nodes):
      var result = ScalarRanges()
      for node in nodes {
        result = result.union(node.firstScalars)
        if !node.isNullable { break }
      }
      return result
    case .alternatives(let nodes): return nodes.reduce(ScalarRanges()) { $0.union($1.firstScalars) }
    case .repeated(let node, _, let max, _): return max == 0 ? ScalarRanges() : node.firstScalars
    case .atomic(let node): return node.firstScalars
    case .look, .place: return ScalarRanges()
    }
  }

  /// The fewest and the most scalars of a match; nil for no upper bound.
  var width: (min: Int, max: Int?) {
    switch self {
    case .set: return (1, 1)
    case .sequence(let nodes):
      return nodes.reduce((0, 0)) { sum, node in
        let width = node.width
        return (sum.0 + width.min, sum.1.flatMap { a in width.max.map { a + $0 } })
      }
    case .alternatives(let nodes):
      let widths = nodes.map(\.width)
      let open = widths.contains { $0.max == nil }
      return (widths.map(\.min).min() ?? 0, open ? nil : widths.compactMap(\.max).max() ?? 0)
    case .repeated(let node, let min, let max, _):
      let width = node.width
      let (low, over) = width.min.multipliedReportingOverflow(by: min)
      let high = max.flatMap { max in
        width.max.flatMap { one -> Int? in
          let (product, over) = one.multipliedReportingOverflow(by: max)
          return over ? nil : product
        }
      }
      return (over ? Int.max / 4 : low, high)
    case .atomic(let node): return node.width
    case .look, .place: return (0, 0)
    }
  }
}
