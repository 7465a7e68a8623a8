extension Jinja.Builtins {
  typealias Value = Jinja.Value
  typealias Text = Jinja.Text
  typealias Arguments = Jinja.Arguments
  typealias Runtime = Jinja.Runtime

  /// A filter that calls a method of `str` on the printed value.
  private static func method(_ name: String) -> Filter {
    { value, arguments, runtime in
      let text = try runtime.text(of: value)
      guard let method = Jinja.StringMethods.table[name] else { return .text(text) }
      _ = try arguments.bind(name, [])
      return try method(text, Arguments(), runtime)
    }
  }

  static let textFilters: [String: Filter] = [
    "upper": method("upper"),
    "lower": method("lower"),
    "capitalize": method("capitalize"),
    "string": { value, arguments, runtime in
      _ = try arguments.bind("string", [])
      return .text(try runtime.text(of: value))
    },
    "trim": { value, arguments, runtime in
      let characters = try arguments.bind("trim", ["chars"])[0] ?? .null
      let text = try runtime.text(of: value)
      try runtime.charge(bytes: text.byteCount)
      return .text(try Jinja.StringMethods.strip(text, characters))
    },
    "title": { value, arguments, runtime in
      _ = try arguments.bind("title", [])
      return .text(title(try runtime.text(of: value)))
    },
    "replace": { value, arguments, runtime in
      let bound = try arguments.bind("replace", ["old", "new", "count"], required: 2)
      let limit = try bound[2].flatMap { $0.isNone ? nil : try $0.expectInt("replace") } ?? -1
      let (old, new) = (try runtime.text(of: bound[0] ?? .null), try runtime.text(of: bound[1] ?? .null))
      return .text(try runtime.replace(runtime.text(of: value).plain, old, new, limit: limit).plain)
    },
    "format": { value, arguments, runtime in
      guard arguments.positional.isEmpty || arguments.named.isEmpty else {
        throw JinjaError.runtime("can't handle positional and keyword arguments at the same time")
      }
      let format = try runtime.text(of: value)
      if arguments.named.isEmpty { return .text(try runtime.percentFormat(format, .tuple(arguments.positional))) }
      var named = Jinja.DictBuilder()
      for (name, value) in arguments.named { try named.set(Value(name), value) }
      return .text(try runtime.percentFormat(format, .dict(named.build())))
    },
    "join": { value, arguments, runtime in
      let bound = try arguments.bind("join", ["d", "attribute"])
      var items = try runtime.items(value)
      if let attribute = bound[1], !attribute.isNone {
        let path = Path(attribute)
        items = try items.map { try path.get($0, runtime) }
      }
      return .text(try runtime.join(items, separator: runtime.text(of: bound[0] ?? Value("")).plain, strict: false))
    },
    "wordcount": { value, arguments, runtime in
      _ = try arguments.bind("wordcount", [])
      let text = try runtime.text(of: value)
      try runtime.charge(bytes: text.byteCount)
      var count = 0
      var isInside = false
      for scalar in text.scalars {
        let isWord = scalar == "_" || scalar.isPythonAlphanumeric
        if isWord, !isInside { count += 1 }
        isInside = isWord
      }
      return .int(count)
    },
    "urlencode": { value, arguments, runtime in
      _ = try arguments.bind("urlencode", [])
      return .text(try urlEncoded(value, runtime))
    },
    "pprint": { value, arguments, runtime in
      _ = try arguments.bind("pprint", [])
      var printer = Jinja.PrettyPrinter(runtime: runtime)
      return .text(try printer.format(value))
    },
    "tojson": { value, arguments, runtime in try json(value, arguments, runtime) },
  ]

  /// Words begin after white space and `-({[<`; unlike `str.title`, not after an apostrophe or digit.
  private static func title(_ text: Text) -> Text {
    let begins: (Unicode.Scalar) -> Bool = { $0.isPythonSpace || "-({[<".unicodeScalars.contains($0) }
    var out: [UInt8] = []
    var word: [Unicode.Scalar] = []
    func flush() {
      guard let first = word.first else { return }
      out += Text([first]).uppercased.bytes
      out += Text(word.dropFirst()).lowercased.bytes
      word = []
    }
    for scalar in text.scalars {
      if begins(scalar) {
        flush()
        out.append(scalar)
      } else {
        word.append(scalar)
      }
    }
    flush()
    return Text(out)
  }

  private static func urlEncoded(_ value: Value, _ runtime: Runtime) throws -> Text {
    if case .text(let text) = value { return try quoted(text, runtime) }
    let pairs: Value
    if case .dict(let dict) = value { pairs = .view(Jinja.DictView(.items, of: dict)) } else { pairs = value }
    guard let next = try? runtime.stream(pairs) else { return try quoted(runtime.text(of: value), runtime) }
    var parts: [Value] = []
    while let pair = try next() {
      let items = try runtime.items(pair)
      guard items.count == 2 else { throw JinjaError.runtime("urlencode wants pairs of a key and a value") }
      let sides = try items.map { try quoted(runtime.text(of: $0), runtime, inQuery: true).string }
      parts.append(Value(sides[0] + "=" + sides[1]))
    }
    return try runtime.join(parts, separator: Text("&"), strict: true)
  }

  private static func quoted(_ text: Text, _ runtime: Runtime, inQuery: Bool = false) throws -> Text {
    try runtime.reserve(bytes: 3 * text.byteCount)
    var out: [UInt8] = []
    for byte in text.bytes {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "~"):
        out.append(byte)
      case UInt8(ascii: "/") where !inQuery: out.append(byte)
      case UInt8(ascii: " ") where inQuery: out.append("+")
      default: out.append("%" + UInt32(byte).hexadecimal(2).uppercased())
      }
    }
    return Text(out)
  }

  private static func json(_ value: Value, _ arguments: Arguments, _ runtime: Runtime) throws -> Value {
    let bound = try arguments.bind("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"])
    var dump = Jinja.JSONDump(runtime: runtime)
    dump.ensuresASCII = bound[0]?.isTrue ?? false
    dump.sortsKeys = bound[3]?.isTrue ?? false
    switch bound[1] {
    case nil, .some(.null): break
    case .text(let text): dump.indent = text
    case .some(let width):
      let count = try width.expectInt("tojson")
      try runtime.reserve(bytes: max(count, 0))
      dump.indent = Text(Array(repeating: UInt8(ascii: " "), count: max(count, 0)))
    }
    if dump.indent != nil { dump.itemSeparator = Text(",") }
    if let separators = bound[2], !separators.isNone {
      let pair = try runtime.items(separators)
      guard pair.count == 2 else { throw JinjaError.runtime("tojson: separators must be a pair of an item and a key separator") }
      dump.itemSeparator = try pair[0].expectText("tojson")
      dump.keySeparator = try pair[1].expectText("tojson")
    }
    try dump.write(value)
    try runtime.checkLength(dump.bytes.count)
    return .text(Text(dump.bytes))
  }
}
