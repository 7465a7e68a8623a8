/// A pattern compiled for `RegexMatcher`.
final class RegexProgram: Sendable {
  struct Instruction: Sendable {
    var code: Code
    var a: Int32 = 0
    var b: Int32 = 0
    var c: Int32 = 0
  }

  enum Code: UInt8, Sendable {
    /// The end of the program, of a look-around or of an atomic group.
    case match
    /// One scalar of set `a`.
    case set
    /// Set `a` from `b` to `c` times (-1: without limit).
    case greedyLoop, lazyLoop, possessiveLoop
    /// Go on at `a`.
    case jump
    /// Go on at `a`; should that fail, at `b`.
    case split
    /// Go on at those branches of table `a` that can start here, in order.
    case dispatch
    /// The body follows and ends at `a`; `b`: 1 negative, 2 behind; for behind `c` is the index of its widths.
    case look
    /// The body follows and ends at `a`.
    case atomic
    case place
    /// Remember the place in slot `a`; fail where nothing was taken since.
    case mark, progress
  }

  /// The branches of an alternation with what they can start with.
  struct Branches: Sendable {
    var targets: [Int32]
    /// For each ASCII character, and at 128 for the end of the text, a bit per branch.
    var ascii: [UInt64]
    /// For other scalars; nil where the branch may take nothing.
    var first: [ScalarSet?]
  }

  let pattern: String
  let code: [Instruction]
  let sets: [ScalarSet]
  let branches: [Branches]
  /// Fewest and most scalars of each look-behind.
  let widths: [ClosedRange<Int>]
  let slots: Int
  /// What a match can start with; nil where it may be empty.
  let first: ScalarSet?

  /// - Throws: `TokenizerError` without file and field: bad syntax, an unsupported construct, or a program that is too large.
  init(_ pattern: String) throws {
    self.pattern = pattern
    do {
      let node = try RegexParser.parse(pattern)
      var compiler = RegexCompiler()
      try compiler.emit(node, then: .match)
      compiler.add(.match)
      code = compiler.code
      sets = compiler.sets.map(ScalarSet.init)
      branches = compiler.branches.map { $0.compiled() }
      widths = compiler.widths
      slots = compiler.slots
      first = node.isNullable ? nil : ScalarSet(node.firstScalars)
    } catch let error as RegexParser.Failure {
      throw TokenizerError.encoding("\(error.message), in \"\(pattern.prefix(200))\"")
    }
  }

  deinit {
    sets.forEach { $0.deallocate() }
    branches.forEach { $0.first.forEach { $0?.deallocate() } }
    first?.deallocate()
  }
}

/// Emits instructions, knowing for each node what comes after it.
struct RegexCompiler {
  typealias Code = RegexProgram.Code

  /// What stands behind a node: lets loops skip the bookkeeping for trying shorter matches.
  enum Follow {
    /// The match is complete.
    case match
    /// Something that must start with one of these.
    case scalars(ScalarRanges)
    case unknown
  }

  struct Alternation {
    var targets: [Int32]
    var first: [ScalarRanges?]

    func compiled() -> RegexProgram.Branches {
      var ascii = [UInt64](repeating: 0, count: 129)
      for (index, set) in first.enumerated() {
        for c in 0..<128 where set?.contains(UInt32(c)) ?? true { ascii[c] |= 1 << UInt64(index) }
        if set == nil { ascii[128] |= 1 << UInt64(index) }
      }
      return .init(targets: targets, ascii: ascii, first: first.map { $0.map(ScalarSet.init) })
    }
  }

  static let sizeLimit = 20_000
  var code: [RegexProgram.Instruction] = []
  var sets: [ScalarRanges] = []
  var branches: [Alternation] = []
  var widths: [ClosedRange<Int>] = []
  var slots = 0
  private var setIndex: [ScalarRanges: Int32] = [:]

  mutating func add(_ code: Code, _ a: Int32 = 0, _ b: Int32 = 0, _ c: Int32 = 0) {
    self.code.append(.init(code: code, a: a, b: b, c: c))
  }

  private var here: Int32 { Int32(code.count) }

  private mutating func index(_ set: ScalarRanges) -> Int32 {
    if let index = setIndex[set] { return index }
    sets.append(set)
    setIndex[set] = Int32(sets.count - 1)
    return Int32(sets.count - 1)
  }

  mutating func emit(_ node: RegexNode, then follow: Follow) throws {
    guard code.count < Self.sizeLimit else { throw RegexParser.Failure(message: "regular expression: too large") }
    switch node {
    case .set(let set): add(.set, index(set))
    case .sequence(let nodes):
      for (index, node) in nodes.enumerated() { try emit(node, then: Self.follow(nodes[(index + 1)...], follow)) }
    case .alternatives(let nodes): try emit(alternatives: nodes, then: follow)
    case .repeated(let node, let min, let max, let greed): try emit(node, min: min, max: max, greed, then: follow)
    case .look(let node, let ahead, let negative): try emit(look: node, ahead: ahead, negative: negative)
    case .atomic(let node):
      let start = Int(here)
      add(.atomic)
      try emit(node, then: .match)
      add(.match)
      code[start].a = here
    case .place(let place): add(.place, Self.number(place))
    }
  }

  private static func follow(_ rest: ArraySlice<RegexNode>, _ outer: Follow) -> Follow {
    var set = ScalarRanges()
    for node in rest {
      if case .look = node { return .unknown }
      if case .place = node { return .unknown }
      set = set.union(node.firstScalars)
      if !node.isNullable { return .scalars(set) }
      if node.containsAssertion { return .unknown }
    }
    switch outer {
    case .match: return rest.isEmpty ? .match : .unknown
    case .scalars(let more): return .scalars(set.union(more))
    case .unknown: return .unknown
    }
  }

  private static func number(_ place: RegexPlace) -> Int32 {
    switch place {
    case .textStart: 0
    case .textEnd: 1
    case .textEndOrLastLine: 2
    case .lineStart: 3
    case .lineEnd: 4
    case .wordBoundary: 5
    case .noWordBoundary: 6
    }
  }

  private mutating func emit(alternatives nodes: [RegexNode], then follow: Follow) throws {
    guard nodes.count <= 64 else { return try emit(alternatives: Self.halved(nodes), then: follow) }
    let table = branches.count
    branches.append(.init(targets: [], first: nodes.map { $0.isNullable ? nil : $0.firstScalars }))
    add(.dispatch, Int32(table))
    var jumps: [Int] = []
    var targets: [Int32] = []
    for (index, node) in nodes.enumerated() {
      targets.append(here)
      try emit(node, then: follow)
      if index < nodes.count - 1 {
        jumps.append(code.count)
        add(.jump)
      }
    }
    branches[table].targets = targets
    for jump in jumps { code[jump].a = here }
  }

  private static func halved(_ nodes: [RegexNode]) -> [RegexNode] {
    let middle = nodes.count / 2
    return [.alternatives(Array(nodes[..<middle])), .alternatives(Array(nodes[middle...]))]
  }

  private mutating func emit(_ node: RegexNode, min: Int, max: Int?, _ greed: RegexGreed, then follow: Follow) throws {
    if case .set(let set) = node {
      let code: Code =
        switch (greed, follow) {
        case (.lazy, _): .lazyLoop
        case (.possessive, _), (_, .match): .possessiveLoop
        case (.greedy, .scalars(let next)): set.intersection(next).isEmpty ? .possessiveLoop : .greedyLoop
        case (.greedy, .unknown): .greedyLoop
        }
      return add(code, index(set), Int32(min), Int32(max ?? -1))
    }
    if greed == .possessive { return try emit(.atomic(.repeated(node, min: min, max: max, .greedy)), then: follow) }
    for _ in 0..<min { try emit(node, then: .unknown) }
    if let max {
      try emit(optional: node, times: max - min, greed)
    } else {
      try emit(unlimited: node, greed)
    }
  }

  private mutating func emit(optional node: RegexNode, times: Int, _ greed: RegexGreed) throws {
    var splits: [Int] = []
    for _ in 0..<max(times, 0) {
      splits.append(code.count)
      add(.split)
      try emit(node, then: .unknown)
    }
    for split in splits { setTargets(split, Int32(split + 1), here, greed) }
  }

  private mutating func emit(unlimited node: RegexNode, _ greed: RegexGreed) throws {
    let start = code.count
    add(.split)
    let slot = Int32(slots)
    if node.isNullable {
      slots += 1
      add(.mark, slot)
    }
    try emit(node, then: .unknown)
    if node.isNullable { add(.progress, slot) }
    add(.jump, Int32(start))
    setTargets(start, Int32(start + 1), here, greed)
  }

  private mutating func setTargets(_ split: Int, _ inside: Int32, _ outside: Int32, _ greed: RegexGreed) {
    code[split].a = greed == .lazy ? outside : inside
    code[split].b = greed == .lazy ? inside : outside
  }

  private mutating func emit(look node: RegexNode, ahead: Bool, negative: Bool) throws {
    let start = code.count
    var flags: Int32 = negative ? 1 : 0
    if !ahead {
      flags |= 2
      let width = node.width
      guard let most = width.max, most <= 255 else {
        throw RegexParser.Failure(message: "regular expression: a look-behind without a limit of 255 characters")
      }
      widths.append(width.min...most)
    }
    add(.look, 0, flags, Int32(widths.count - 1))
    // A look-behind must end at one place, so shorter matches count there.
    try emit(node, then: ahead ? .match : .unknown)
    add(.match)
    code[start].a = here
  }
}

extension RegexNode {
  fileprivate var containsAssertion: Bool {
    switch self {
    case .set: false
    case .sequence(let nodes), .alternatives(let nodes): nodes.contains(where: \.containsAssertion)
    case .repeated(let node, _, _, _), .atomic(let node): node.containsAssertion
    case .look, .place: true
    }
  }
}
