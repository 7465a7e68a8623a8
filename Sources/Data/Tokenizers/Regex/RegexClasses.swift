/// Names of `\p{…}` and POSIX classes, and case folding.
enum RegexClasses {
  /// The set of a `\p{name}`; nil for an unknown name. Case, spaces, hyphens and underscores do not matter.
  static func named(_ name: String) -> ScalarRanges? {
    let key = String(name.lowercased().unicodeScalars.filter { $0 != " " && $0 != "-" && $0 != "_" }.map(Character.init))
    return categories[key].map { wanted in UnicodeTables.category { wanted.contains($0) } } ?? properties(key) ?? UnicodeScripts.named(key)
  }

  private static let categories: [String: [Unicode.GeneralCategory]] = {
    var table: [String: [Unicode.GeneralCategory]] = [
      "lu": [.uppercaseLetter], "ll": [.lowercaseLetter], "lt": [.titlecaseLetter], "lm": [.modifierLetter], "lo": [.otherLetter],
      "mn": [.nonspacingMark], "mc": [.spacingMark], "me": [.enclosingMark], "nd": [.decimalNumber], "nl": [.letterNumber],
      "no": [.otherNumber], "pc": [.connectorPunctuation], "pd": [.dashPunctuation], "ps": [.openPunctuation],
      "pe": [.closePunctuation], "pi": [.initialPunctuation], "pf": [.finalPunctuation], "po": [.otherPunctuation],
      "sm": [.mathSymbol], "sc": [.currencySymbol], "sk": [.modifierSymbol], "so": [.otherSymbol], "zs": [.spaceSeparator],
      "zl": [.lineSeparator], "zp": [.paragraphSeparator], "cc": [.control], "cf": [.format], "cs": [.surrogate], "co": [.privateUse],
      "cn": [.unassigned],
    ]
    for group in ["l", "m", "n", "p", "s", "z", "c"] {
      table[group] = table.filter { $0.key.count == 2 && $0.key.hasPrefix(group) }.flatMap(\.value)
    }
    table["lc"] = [.uppercaseLetter, .lowercaseLetter, .titlecaseLetter]
    for (long, short) in longNames { table[long] = table[short] }
    return table
  }()

  private static let longNames = [
    "letter": "l", "mark": "m", "combiningmark": "m", "number": "n", "punctuation": "p", "punct": "p", "symbol": "s", "separator": "z",
    "other": "c", "casedletter": "lc", "uppercaseletter": "lu", "lowercaseletter": "ll", "titlecaseletter": "lt",
    "modifierletter": "lm", "otherletter": "lo", "nonspacingmark": "mn", "spacingmark": "mc", "enclosingmark": "me",
    "decimalnumber": "nd", "letternumber": "nl", "othernumber": "no", "connectorpunctuation": "pc", "dashpunctuation": "pd",
    "openpunctuation": "ps", "closepunctuation": "pe", "initialpunctuation": "pi", "finalpunctuation": "pf", "otherpunctuation": "po",
    "mathsymbol": "sm", "currencysymbol": "sc", "modifiersymbol": "sk", "othersymbol": "so", "spaceseparator": "zs",
    "lineseparator": "zl", "paragraphseparator": "zp", "control": "cc", "format": "cf", "surrogate": "cs", "privateuse": "co",
    "unassigned": "cn",
  ]

  private static func properties(_ key: String) -> ScalarRanges? {
    switch key {
    case "any": .everything
    case "ascii": ScalarRanges([0...0x7F])
    case "assigned": UnicodeTables.category { $0 != .unassigned }
    case "alpha", "alphabetic": UnicodeTables.alphabetic
    case "alnum": UnicodeTables.alphabetic.union(UnicodeTables.category { $0 == .decimalNumber })
    case "digit": UnicodeTables.category { $0 == .decimalNumber }
    case "lower", "lowercase": UnicodeTables.property(\.isLowercase)
    case "upper", "uppercase": UnicodeTables.property(\.isUppercase)
    case "space", "whitespace": UnicodeTables.whitespace
    case "blank": UnicodeTables.category { $0 == .spaceSeparator }.union(ScalarRanges(scalars: [9]))
    case "cntrl": UnicodeTables.category { $0 == .control }
    case "xdigit": hexDigits
    case "word": UnicodeTables.onigurumaClassWord
    case "emoji": UnicodeTables.property(\.isEmoji)
    case "emojipresentation": UnicodeTables.property(\.isEmojiPresentation)
    case "emojimodifier": UnicodeTables.property(\.isEmojiModifier)
    case "emojimodifierbase": UnicodeTables.property(\.isEmojiModifierBase)
    case "ideographic": UnicodeTables.property(\.isIdeographic)
    case "math": UnicodeTables.property(\.isMath)
    case "joincontrol": ScalarRanges([0x200C...0x200D])
    default: nil
    }
  }

  static let hexDigits = ScalarRanges([0x30...0x39, 0x41...0x46, 0x61...0x66])

  /// The set of `[[:name:]]`; nil for an unknown name.
  static func posix(_ name: String) -> ScalarRanges? {
    switch name {
    case "punct": UnicodeTables.punctuation.union(named("s") ?? ScalarRanges())
    case "graph": visible
    case "print": visible.union(UnicodeTables.category { $0 == .spaceSeparator })
    case "alpha", "alnum", "digit", "lower", "upper", "space", "blank", "cntrl", "xdigit", "word", "ascii": properties(name)
    default: nil
    }
  }

  private static let visible = UnicodeTables.category { $0 != .control && $0 != .unassigned && $0 != .surrogate }
    .subtracting(UnicodeTables.whitespace)

  /// Everything that equals a member of the set when case is ignored (simple folding).
  static func folded(_ set: ScalarRanges) -> ScalarRanges {
    var extra: [UInt32] = []
    for (_, members) in folding where members.contains(where: set.contains) { extra += members }
    return extra.isEmpty ? set : set.union(ScalarRanges(scalars: extra))
  }

  /// Groups of scalars that fold to the same one.
  private static let folding: [UInt32: [UInt32]] = {
    func single(_ text: String) -> Unicode.Scalar? { text.unicodeScalars.count == 1 ? text.unicodeScalars.first : nil }
    var groups: [UInt32: [UInt32]] = [:]
    for range in UnicodeTables.property({ $0.changesWhenUppercased || $0.changesWhenLowercased || $0.changesWhenTitlecased }).ranges {
      for value in range {
        guard let scalar = Unicode.Scalar(value) else { continue }
        let upper = single(scalar.properties.uppercaseMapping) ?? scalar
        let key = single(upper.properties.lowercaseMapping) ?? upper
        groups[key.value, default: []].append(value)
      }
    }
    return groups.filter { $0.value.count > 1 }
  }()
}
