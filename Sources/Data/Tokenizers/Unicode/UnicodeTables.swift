/// What the standard library knows about each code point, cut back to the Unicode version of the libraries whose results are wanted.
enum UnicodeTables {
  /// Version of Oniguruma 6.9.10 and of Rust's `regex` and `std`, on which Hugging Face `tokenizers` rests.
  static let version = 16

  struct Run: Sendable {
    var range: ClosedRange<UInt32>
    var category: Unicode.GeneralCategory
  }

  /// Runs of equal general category over all code points. What is newer than `version` counts as unassigned.
  static let runs: [Run] = {
    var runs: [Run] = []
    func add(_ range: ClosedRange<UInt32>, _ category: Unicode.GeneralCategory) {
      if let last = runs.last, last.category == category, last.range.upperBound + 1 == range.lowerBound {
        runs[runs.count - 1].range = last.range.lowerBound...range.upperBound
      } else {
        runs.append(Run(range: range, category: category))
      }
    }
    func scan(_ range: ClosedRange<UInt32>) {
      for value in range {
        guard let scalar = Unicode.Scalar(value) else { continue }
        add(value...value, known(scalar) ? scalar.properties.generalCategory : .unassigned)
      }
    }
    scan(0...0xD7FF)
    add(0xD800...0xDFFF, .surrogate)
    scan(0xE000...0x3FFFF)
    add(0x40000...0xDFFFF, .unassigned)
    scan(0xE0000...0xE0FFF)
    add(0xE1000...0xEFFFF, .unassigned)
    for plane in [UInt32(0xF0000), 0x100000] {
      add(plane...plane + 0xFFFD, .privateUse)
      add(plane + 0xFFFE...plane + 0xFFFF, .unassigned)
    }
    return runs
  }()

  /// Whether the scalar was assigned in `version`.
  static func known(_ scalar: Unicode.Scalar, in version: Int = version) -> Bool {
    guard scalar.value > 0x7F, let age = scalar.properties.age else { return true }
    return age.major <= version
  }

  static func category(_ wanted: (Unicode.GeneralCategory) -> Bool) -> ScalarRanges {
    ScalarRanges(runs.filter { wanted($0.category) }.map(\.range))
  }

  /// All code points of `version` with a property that the standard library names.
  static func property(_ has: (Unicode.Scalar.Properties) -> Bool) -> ScalarRanges {
    var ranges: [ClosedRange<UInt32>] = []
    for run in runs where run.category != .unassigned && run.category != .surrogate {
      var start: UInt32?
      for value in run.range {
        let holds = Unicode.Scalar(value).map { has($0.properties) } ?? false
        if holds, start == nil { start = value }
        if !holds, let from = start {
          ranges.append(from...value - 1)
          start = nil
        }
      }
      if let from = start { ranges.append(from...run.range.upperBound) }
    }
    return ScalarRanges(ranges)
  }

  /// Numbers that are newer than `version`.
  static let newNumbers: ScalarRanges = {
    var new: [UInt32] = []
    for run in runs where run.category == .unassigned {
      for value in run.range.prefix(while: { $0 <= 0x3FFFF }) {
        guard let scalar = Unicode.Scalar(value) else { continue }
        switch scalar.properties.generalCategory {
        case .decimalNumber, .letterNumber, .otherNumber: new.append(value)
        default: break
        }
      }
    }
    return ScalarRanges(scalars: new)
  }()

  static let letters = category { category in
    switch category {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }
  static let marks = category { $0 == .nonspacingMark || $0 == .spacingMark || $0 == .enclosingMark }
  static let numbers = category { $0 == .decimalNumber || $0 == .letterNumber || $0 == .otherNumber }
  static let punctuation = category { category in
    switch category {
    case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation, .finalPunctuation,
      .otherPunctuation:
      true
    default: false
    }
  }
  /// White_Space: the same in Oniguruma and in Rust.
  static let whitespace = ScalarRanges([
    0x09...0x0D, 0x20...0x20, 0x85...0x85, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029, 0x202F...0x202F,
    0x205F...0x205F, 0x3000...0x3000,
  ])
  static let alphabetic = property(\.isAlphabetic)
  /// `\w` of Rust's `regex` crate (UTS 18): alphabetic, marks, decimal numbers, connectors, join controls.
  static let rustWord = alphabetic.union(marks).union(category { $0 == .decimalNumber || $0 == .connectorPunctuation })
    .union(ScalarRanges([0x200C...0x200D]))
  /// `\w` of Oniguruma inside brackets: much the same, without join controls.
  static let onigurumaClassWord = alphabetic.union(marks).union(category { $0 == .decimalNumber || $0 == .connectorPunctuation })
  /// `\w` of Oniguruma outside brackets: six numbers of Latin-1 belong to it there.
  static let onigurumaWord = onigurumaClassWord.union(ScalarRanges([0xB2...0xB3, 0xB9...0xB9, 0xBC...0xBE]))

  static let whitespaceSet = ScalarSet(whitespace)
  static let rustWordSet = ScalarSet(rustWord)
}
