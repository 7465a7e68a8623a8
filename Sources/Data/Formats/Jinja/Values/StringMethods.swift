extension Jinja {
  /// The methods of Python's `str`.
  enum StringMethods {
    typealias Method = @Sendable (Text, Arguments, Runtime) throws -> Value

    static let table: [String: Method] = changing.merging(cutting) { a, _ in a }.merging(searching) { a, _ in a }.merging(asking) { a, _ in
      a
    }

    /// Methods without arguments that change every character.
    private static func mapping(_ name: String, _ change: @escaping @Sendable (Text) -> Text) -> Method {
      { text, arguments, runtime in
        _ = try arguments.positionalOnly(name, 0...0)
        try runtime.charge(bytes: 4 * text.byteCount)
        return .text(change(text).with(markup: text.isMarkup))
      }
    }

    private static func stripping(_ name: String, left: Bool, right: Bool) -> Method {
      { text, arguments, runtime in
        try runtime.charge(bytes: text.byteCount)
        let argument = try arguments.positionalOnly(name, 0...1).first ?? .null
        return .text(try strip(text, argument, left: left, right: right))
      }
    }

    /// `strip`, `lstrip` or `rstrip` with the characters that `characters` names, or white space where it is None.
    static func strip(_ text: Text, _ characters: Value, left: Bool = true, right: Bool = true) throws -> Text {
      if case .null = characters { return text.stripped(left: left, right: right) }
      let set = Set(try characters.expectText("strip").scalars)
      return text.stripped(left: left, right: right) { set.contains($0) }
    }

    private static func padding(_ name: String, _ place: @escaping @Sendable (Int, Int) -> Int) -> Method {
      { text, arguments, runtime in
        let bound = try arguments.positionalOnly(name, 1...2)
        let fill = bound.count > 1 ? try bound[1].expectText(name) : Text(" ")
        guard fill.count == 1 else { throw JinjaError.runtime("The fill character must be exactly one character long") }
        return .text(try pad(text, to: bound[0].expectInt(name), fill, runtime, before: place))
      }
    }

    /// Pads to `width`; `before(padding, width)` says how much of the padding goes in front.
    static func pad(_ text: Text, to width: Int, _ fill: Text, _ runtime: Runtime, before: (Int, Int) -> Int) throws -> Text {
      let (padding, overflow) = width.subtractingReportingOverflow(text.count)
      guard !overflow, padding > 0 else { return text }
      try runtime.reserve(bytes: padding > 1 << 40 ? .max : text.byteCount + padding * fill.byteCount)
      let left = before(padding, width)
      var bytes: [UInt8] = []
      for _ in 0..<left { bytes += fill.bytes }
      bytes += text.bytes
      for _ in left..<padding { bytes += fill.bytes }
      return Text(bytes, isMarkup: text.isMarkup)
    }

    /// Python's `center` puts the odd space left where the width is odd.
    @Sendable static func centred(_ padding: Int, _ width: Int) -> Int { padding / 2 + (padding & width & 1) }

    private static let changing: [String: Method] = [
      "upper": mapping("upper", \.uppercased),
      "lower": mapping("lower", \.lowercased),
      "casefold": mapping("casefold", \.casefolded),
      "title": mapping("title", \.titlecased),
      "capitalize": mapping("capitalize", \.capitalized),
      "swapcase": mapping("swapcase", \.caseSwapped),
      "strip": stripping("strip", left: true, right: true),
      "lstrip": stripping("lstrip", left: true, right: false),
      "rstrip": stripping("rstrip", left: false, right: true),
      "ljust": padding("ljust") { _, _ in 0 },
      "rjust": padding("rjust") { padding, _ in padding },
      "center": padding("center", centred),
      "zfill": { text, arguments, runtime in
        let width = try arguments.positionalOnly("zfill", 1...1)[0].expectInt("zfill")
        let hasSign = text.hasPrefix(Text("+")) || text.hasPrefix(Text("-"))
        let sign = text.window(0..<(hasSign ? 1 : 0))
        let digits = text.window((hasSign ? 1 : 0)..<text.byteCount)
        let padded = try pad(digits, to: width - (hasSign && width > .min ? 1 : 0), Text("0"), runtime) { padding, _ in padding }
        return .text(sign.isEmpty ? padded : Text(Array(sign.bytes) + padded.bytes, isMarkup: text.isMarkup))
      },
      "replace": { text, arguments, runtime in
        let bound = try arguments.positionalOnly("replace", 2...3)
        let new = try bound[1].expectText("replace")
        return .text(
          try runtime.replace(
            text, bound[0].expectText("replace"), text.isMarkup ? runtime.escaped(new) : new,
            limit: bound.count > 2 ? bound[2].expectInt("replace") : -1))
      },
      "removeprefix": { text, arguments, runtime in
        let prefix = try arguments.positionalOnly("removeprefix", 1...1)[0].expectText("removeprefix")
        return .text(text.hasPrefix(prefix) ? text.window(prefix.byteCount..<text.byteCount) : text)
      },
      "removesuffix": { text, arguments, runtime in
        let suffix = try arguments.positionalOnly("removesuffix", 1...1)[0].expectText("removesuffix")
        return .text(text.hasSuffix(suffix) ? text.window(0..<text.byteCount - suffix.byteCount) : text)
      },
      "expandtabs": { text, arguments, runtime in
        let size = try arguments.bind("expandtabs", ["tabsize"])[0]?.expectInt("expandtabs") ?? 8
        return .text(try runtime.expandingTabs(text, size))
      },
      "join": { text, arguments, runtime in
        .text(try runtime.join(runtime.items(arguments.positionalOnly("join", 1...1)[0]), separator: text, strict: true))
      },
      "format": { text, arguments, runtime in .text(try runtime.braceFormat(text, arguments)) },
      "format_map": { text, arguments, runtime in
        guard case .dict(let dict) = try arguments.positionalOnly("format_map", 1...1)[0] else {
          throw JinjaError.runtime("format_map() argument must be a mapping")
        }
        var named = Arguments()
        for (key, value) in zip(dict.keys, dict.values) { if case .text(let name) = key { named.named.append((name.string, value)) } }
        return .text(try runtime.braceFormat(text, named))
      },
      "encode": { _, _, _ in throw JinjaError.runtime("encode() is not supported: templates have no bytes") },
      "translate": { _, _, _ in throw JinjaError.runtime("translate() is not supported") },
      "maketrans": { _, _, _ in throw JinjaError.runtime("maketrans() is not supported") },
    ]

    private static func splitting(
      _ name: String, _ atSpace: @escaping @Sendable (Text, Int) -> [Text], _ atText: @escaping @Sendable (Text, Text, Int) -> [Text]
    ) -> Method {
      { text, arguments, runtime in
        let bound = try arguments.bind(name, ["sep", "maxsplit"])
        let limit = try bound[1]?.expectInt(name) ?? -1
        try runtime.charge(bytes: 2 * text.byteCount)
        let parts: [Text]
        if let separator = bound[0], !separator.isNone {
          let separator = try separator.expectText(name)
          guard !separator.isEmpty else { throw JinjaError.runtime("empty separator") }
          try runtime.chargeSearch(for: separator, in: text)
          try runtime.charge(steps: text.occurrences(of: separator))
          parts = atText(text, separator, limit)
        } else {
          try runtime.checkAffords(steps: text.mostWords)
          parts = atSpace(text, limit)
          try runtime.charge(steps: parts.count)
        }
        return try .list(parts.map { .text($0) })
      }
    }

    private static func partitioning(_ name: String, fromRight: Bool) -> Method {
      { text, arguments, runtime in
        let separator = try arguments.positionalOnly(name, 1...1)[0].expectText(name)
        guard !separator.isEmpty else { throw JinjaError.runtime("empty separator") }
        try runtime.chargeSearch(for: separator, in: text)
        let empty = text.window(0..<0)
        guard let found = fromRight ? text.lastRange(of: separator) : text.firstRange(of: separator) else {
          return try .tuple(fromRight ? [.text(empty), .text(empty), .text(text)] : [.text(text), .text(empty), .text(empty)])
        }
        let parts = [text.window(0..<found.lowerBound), separator, text.window(found.upperBound..<text.byteCount)]
        return try .tuple(parts.map { .text($0) })
      }
    }

    private static let cutting: [String: Method] = [
      "split": splitting("split", { $0.splitAtSpace(limit: $1) }, { $0.split(by: $1, limit: $2) }),
      "rsplit": splitting("rsplit", { $0.splitAtSpaceFromRight(limit: $1) }, { $0.splitFromRight(by: $1, limit: $2) }),
      "partition": partitioning("partition", fromRight: false),
      "rpartition": partitioning("rpartition", fromRight: true),
      "splitlines": { text, arguments, runtime in
        try runtime.charge(bytes: text.byteCount)
        let keeps = try arguments.bind("splitlines", ["keepends"])[0]?.isTrue ?? false
        try runtime.checkAffords(steps: text.mostWords)
        return try .list(text.lines(keepingEnds: keeps).map { .text($0) })
      },
    ]

    /// The part of the text that the optional arguments `start` and `end` name, in bytes; nil where start lies behind the end.
    private static func part(of text: Text, _ bound: [Value]) throws -> Range<Int>? {
      guard bound.count > 1 else { return 0..<text.byteCount }
      let start = bound[1].isNone ? nil : try bound[1].expectInt("find")
      let stop = bound.count < 3 || bound[2].isNone ? nil : try bound[2].expectInt("find")
      let count = text.count
      if let start, start > count { return nil }
      let window = Runtime.Window(count: count, start: start, stop: stop, step: 1)
      guard window.start <= window.stop else { return nil }
      return text.byteOffset(ofScalar: window.start)..<text.byteOffset(ofScalar: window.stop)
    }

    private static func finding(_ name: String, last: Bool, fails: Bool) -> Method {
      { text, arguments, runtime in
        let bound = try arguments.positionalOnly(name, 1...3)
        let wanted = try bound[0].expectText(name)
        try runtime.chargeSearch(for: wanted, in: text)
        let part = try part(of: text, bound)
        let found = part.flatMap {
          last
            ? text.lastRange(of: wanted, from: $0.lowerBound, before: $0.upperBound)
            : text.firstRange(of: wanted, from: $0.lowerBound, before: $0.upperBound)
        }
        if let found { return .int(text.scalarIndex(ofByte: found.lowerBound)) }
        if fails { throw JinjaError.runtime("substring not found") }
        return .int(-1)
      }
    }

    private static func ending(_ name: String, _ matches: @escaping @Sendable (Text, Text) -> Bool) -> Method {
      { text, arguments, runtime in
        let bound = try arguments.positionalOnly(name, 1...3)
        let part = try part(of: text, bound)
        let candidates: [Value]
        if case .tuple(let box) = bound[0] { candidates = box.items } else { candidates = [bound[0]] }
        for candidate in candidates {
          guard case .text(let wanted) = candidate else {
            if case .undefined(let undefined) = candidate { throw undefined.error }
            throw JinjaError.runtime("\(name) first arg must be str or a tuple of str, not \(candidate.typeName)")
          }
          if let part, matches(text.window(part), wanted) { return .bool(true) }
        }
        return .bool(false)
      }
    }

    private static let searching: [String: Method] = [
      "find": finding("find", last: false, fails: false),
      "rfind": finding("rfind", last: true, fails: false),
      "index": finding("index", last: false, fails: true),
      "rindex": finding("rindex", last: true, fails: true),
      "startswith": ending("startswith") { $0.hasPrefix($1) },
      "endswith": ending("endswith") { $0.hasSuffix($1) },
      "count": { text, arguments, runtime in
        let bound = try arguments.positionalOnly("count", 1...3)
        let wanted = try bound[0].expectText("count")
        try runtime.chargeSearch(for: wanted, in: text)
        return .int(try part(of: text, bound).map { text.window($0).occurrences(of: wanted) } ?? 0)
      },
    ]

    private static func asking(_ name: String, emptyIs: Bool = false, _ holds: @escaping @Sendable (Unicode.Scalar) -> Bool) -> Method {
      { text, arguments, runtime in
        _ = try arguments.positionalOnly(name, 0...0)
        try runtime.charge(bytes: text.byteCount)
        return .bool(text.isEmpty ? emptyIs : text.allSatisfy(holds))
      }
    }

    private static let asking: [String: Method] = [
      "isalnum": asking("isalnum", \.isPythonAlphanumeric),
      "isalpha": asking("isalpha", \.isPythonAlphabetic),
      "isascii": asking("isascii", emptyIs: true, \.isASCII),
      "isdecimal": asking("isdecimal") { $0.properties.numericType == .decimal },
      "isdigit": asking("isdigit") { $0.properties.numericType == .decimal || $0.properties.numericType == .digit },
      "isnumeric": asking("isnumeric") { $0.properties.numericType != nil },
      "isspace": asking("isspace", \.isPythonSpace),
      "isprintable": asking("isprintable", emptyIs: true, \.isPythonPrintable),
      "isidentifier": { text, _, _ in
        let scalars = text.scalars
        guard let first = scalars.first else { return .bool(false) }
        return .bool((first == "_" || first.properties.isXIDStart) && scalars.allSatisfy { $0.properties.isXIDContinue })
      },
      "islower": { text, _, _ in .bool(text.isLower) },
      "isupper": { text, _, _ in .bool(text.isUpper) },
      "istitle": { text, _, _ in .bool(text.isTitle) },
    ]
  }
}

extension Jinja.Value {
  var isNone: Bool { if case .null = self { true } else { false } }
}
