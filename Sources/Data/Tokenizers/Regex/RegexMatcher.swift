/// Runs a program over UTF-8 with an explicit stack: neither the text's length nor the pattern can exhaust the call stack.
struct RegexMatcher {
  /// A place to go back to. `low` is the place down to which a greedy loop may give back, -1 for a plain branch, -2 for a slot to
  /// restore, and below that a lazy loop.
  struct Choice {
    var pc: Int32
    var at: Int
    var low: Int
  }

  let program: RegexProgram
  private var stack: [Choice] = []
  private var slots: [Int]
  /// Steps that remain for this text.
  private var budget = 0

  init(_ program: RegexProgram) {
    self.program = program
    slots = [Int](repeating: -1, count: program.slots)
    stack.reserveCapacity(64)
  }

  /// Calls `found` with each match in `range` of `text`, as Oniguruma's search goes on from match to match; what lies outside the
  /// range is not seen by look-arounds.
  /// - Throws: `TokenizerError` where the pattern backtracks without end, and what `found` throws.
  mutating func matches(in text: Bytes, _ range: Range<Int>, _ found: (Int, Int) throws -> Void) throws {
    budget = 50_000_000 + 1_000 * range.count
    var at = range.lowerBound
    var lastEnd = -1
    while at <= range.upperBound {
      if let first = program.first {
        at = Self.skip(to: first, text, at, range.upperBound)
        if at >= range.upperBound { return }
      }
      let end = try run(0, text, at, range)
      if end < 0 || (end == at && at == lastEnd) {
        if at >= range.upperBound { return }
        at += Bytes.width(text[at])
        continue
      }
      try found(at, end)
      lastEnd = end
      at = end
    }
  }

  @inline(__always)
  private static func skip(to first: ScalarSet, _ text: Bytes, _ at: Int, _ end: Int) -> Int {
    var at = at
    while at < end {
      let byte = text[at]
      if byte < 0x80 {
        if first.containsASCII(byte) { break }
        at += 1
      } else {
        let (c, next) = text.scalar(at: at)
        if first.contains(c) { break }
        at = next
      }
    }
    return at
  }

  /// The end of the match of the code at `start` from `from`, -1 for none. `mustEnd` refuses every other end.
  private mutating func run(_ start: Int32, _ text: Bytes, _ from: Int, _ range: Range<Int>, mustEnd: Int = -1) throws -> Int {
    let base = stack.count
    var pc = start
    var at = from
    let end = range.upperBound
    var failed = false
    while true {
      budget -= 1
      if failed {
        guard stack.count > base else { return -1 }
        failed = false
        guard resume(&pc, &at, text) else {
          failed = true
          continue
        }
      }
      guard budget > 0 else {
        throw TokenizerError.encoding("the pattern \"\(program.pattern.prefix(200))\" needs too many steps for this text")
      }
      let instruction = program.code[Int(pc)]
      switch instruction.code {
      case .match:
        if mustEnd >= 0, at != mustEnd {
          failed = true
          continue
        }
        stack.removeLast(stack.count - base)
        return at
      case .set:
        guard at < end else {
          failed = true
          continue
        }
        let (c, next) = text.scalar(at: at)
        failed = !program.sets[Int(instruction.a)].contains(c)
        at = next
        pc += 1
      case .greedyLoop, .possessiveLoop, .lazyLoop: failed = !loop(instruction, &pc, &at, text, end)
      case .jump: pc = instruction.a
      case .split:
        stack.append(Choice(pc: instruction.b, at: at, low: -1))
        pc = instruction.a
      case .dispatch: failed = !dispatch(Int(instruction.a), &pc, at, text, end)
      case .look: failed = try !look(instruction, &pc, at, text, range)
      case .atomic:
        let inner = try run(pc + 1, text, at, range)
        failed = inner < 0
        at = inner
        pc = instruction.a
      case .place:
        failed = !holds(instruction.a, text, at, range)
        pc += 1
      case .mark:
        stack.append(Choice(pc: instruction.a, at: slots[Int(instruction.a)], low: -2))
        slots[Int(instruction.a)] = at
        pc += 1
      case .progress:
        failed = slots[Int(instruction.a)] == at
        pc += 1
      }
    }
  }

  /// Takes the last choice; false where that only restored a slot or found nothing left.
  private mutating func resume(_ pc: inout Int32, _ at: inout Int, _ text: Bytes) -> Bool {
    let choice = stack.removeLast()
    if choice.low == -2 {
      slots[Int(choice.pc)] = choice.at
      return false
    }
    if choice.low <= -3 {
      return resumeLazy(choice, &pc, &at, text)
    }
    pc = choice.pc
    at = choice.at
    if choice.low >= 0 {
      at = text.before(at, low: choice.low)
      if at > choice.low { stack.append(Choice(pc: pc, at: at, low: choice.low)) }
    }
    return true
  }

  @inline(__always)
  private mutating func loop(_ i: RegexProgram.Instruction, _ pc: inout Int32, _ at: inout Int, _ text: Bytes, _ end: Int) -> Bool {
    let set = program.sets[Int(i.a)]
    var most = i.c < 0 ? Int.max : Int(i.c)
    let least = Int(i.b)
    if i.code == .lazyLoop { most = least }
    var taken = 0
    var low = at
    while at < end, taken < most {
      let byte = text[at]
      if byte < 0x80 {
        guard set.containsASCII(byte) else { break }
        at += 1
      } else {
        let (c, next) = text.scalar(at: at)
        guard set.contains(c) else { break }
        at = next
      }
      taken += 1
      if taken == least { low = at }
    }
    guard taken >= least else { return false }
    if i.code == .greedyLoop, at > low { stack.append(Choice(pc: pc + 1, at: at, low: low)) }
    if i.code == .lazyLoop { pushLazy(i, pc, at, text, end, taken: taken) }
    pc += 1
    return true
  }

  /// A lazy loop remembers where it may take one more: `low` is minus the number taken, less 3.
  private mutating func pushLazy(_ i: RegexProgram.Instruction, _ pc: Int32, _ at: Int, _ text: Bytes, _ end: Int, taken: Int) {
    guard at < end, i.c < 0 || taken < Int(i.c), program.sets[Int(i.a)].contains(text.scalar(at: at).value) else { return }
    stack.append(Choice(pc: pc, at: text.scalar(at: at).next, low: -4 - taken))
    lazyEnd = end
  }

  /// End of the text for lazy loops that are resumed.
  private var lazyEnd = 0

  private mutating func resumeLazy(_ choice: Choice, _ pc: inout Int32, _ at: inout Int, _ text: Bytes) -> Bool {
    at = choice.at
    pushLazy(program.code[Int(choice.pc)], choice.pc, at, text, lazyEnd, taken: -3 - choice.low)
    pc = choice.pc + 1
    return true
  }

  @inline(__always)
  private mutating func dispatch(_ table: Int, _ pc: inout Int32, _ at: Int, _ text: Bytes, _ end: Int) -> Bool {
    var viable: UInt64
    if at >= end {
      viable = program.branches[table].ascii[128]
    } else if text[at] < 0x80 {
      viable = program.branches[table].ascii[Int(text[at])]
    } else {
      let c = text.scalar(at: at).value
      viable = 0
      for (index, set) in program.branches[table].first.enumerated() where set?.contains(c) ?? true { viable |= 1 << UInt64(index) }
    }
    guard viable != 0 else { return false }
    while viable & (viable - 1) != 0 {
      let last = 63 - viable.leadingZeroBitCount
      viable &= ~(1 << UInt64(last))
      stack.append(Choice(pc: program.branches[table].targets[last], at: at, low: -1))
    }
    pc = program.branches[table].targets[viable.trailingZeroBitCount]
    return true
  }

  private mutating func look(
    _ i: RegexProgram.Instruction, _ pc: inout Int32, _ at: Int, _ text: Bytes, _ range: Range<Int>
  ) throws -> Bool {
    let body = pc + 1
    pc = i.a
    let negative = i.b & 1 != 0
    guard i.b & 2 != 0 else { return try run(body, text, at, range) >= 0 ? !negative : negative }
    let widths = program.widths[Int(i.c)]
    var from = at
    var width = 0
    while width <= widths.upperBound {
      if width >= widths.lowerBound, try run(body, text, from, range, mustEnd: at) >= 0 { return !negative }
      guard from > range.lowerBound else { break }
      from = text.before(from, low: range.lowerBound)
      width += 1
    }
    return negative
  }

  private func holds(_ place: Int32, _ text: Bytes, _ at: Int, _ range: Range<Int>) -> Bool {
    switch place {
    case 0: return at == range.lowerBound
    case 1: return at == range.upperBound
    case 2: return at == range.upperBound || (at + 1 == range.upperBound && text[at] == 10)
    case 3: return at == range.lowerBound || (text[at - 1] == 10 && at < range.upperBound)
    case 4: return at == range.upperBound || text[at] == 10
    default:
      let before = at > range.lowerBound && Self.word.contains(text.scalar(at: text.before(at, low: range.lowerBound)).value)
      let after = at < range.upperBound && Self.word.contains(text.scalar(at: at).value)
      return (before != after) == (place == 5)
    }
  }

  private static let word = ScalarSet(UnicodeTables.onigurumaWord)
}
