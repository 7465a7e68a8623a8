extension Jinja.Text {
  /// Python's `upper`.
  var uppercased: Text {
    guard !isASCII else { return mapASCII { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) ? $0 - 32 : $0 } }
    return mapScalars { scalar, _, _ in scalar.properties.uppercaseMapping }
  }

  /// Python's `lower`, with the final sigma of Greek words.
  var lowercased: Text {
    guard !isASCII else { return mapASCII { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 + 32 : $0 } }
    return mapScalars { Self.lower($0, at: $1, in: $2) }
  }

  /// Python's `casefold`, with the foldings that lower case alone does not give.
  var casefolded: Text {
    guard !isASCII else { return lowercased }
    return mapScalars { scalar, _, _ in
      switch scalar {
      case "ß", "ẞ": "ss"
      case "ς": "σ"
      case "ſ": "s"
      default: scalar.properties.changesWhenCaseFolded ? scalar.properties.uppercaseMapping.lowercasedScalars : String(scalar)
      }
    }
  }

  /// Python's `title`: each letter after one without case is a capital, the others are small.
  var titlecased: Text {
    var isInside = false
    return mapScalars { scalar, place, all in
      defer { isInside = scalar.properties.isCased }
      return isInside ? Self.lower(scalar, at: place, in: all) : scalar.properties.titlecaseMapping
    }
  }

  var capitalized: Text {
    mapScalars { scalar, place, all in place == 0 ? scalar.properties.titlecaseMapping : Self.lower(scalar, at: place, in: all) }
  }

  var caseSwapped: Text {
    mapScalars { scalar, place, all in
      if scalar.properties.isUppercase { return Self.lower(scalar, at: place, in: all) }
      return scalar.properties.isLowercase ? scalar.properties.uppercaseMapping : String(scalar)
    }
  }

  private func mapASCII(_ change: (UInt8) -> UInt8) -> Text { Text(bytes.map(change)) }

  private func mapScalars(_ change: (Unicode.Scalar, Int, [Unicode.Scalar]) -> String) -> Text {
    let all = Array(scalars)
    var out: [UInt8] = []
    for (place, scalar) in all.enumerated() { out.append(change(scalar, place, all)) }
    return Text(out)
  }

  private static func lower(_ scalar: Unicode.Scalar, at place: Int, in all: [Unicode.Scalar]) -> String {
    guard scalar == "Σ" else { return scalar.properties.lowercaseMapping }
    var before = place - 1
    while before >= 0, all[before].properties.isCaseIgnorable { before -= 1 }
    var after = place + 1
    while after < all.count, all[after].properties.isCaseIgnorable { after += 1 }
    let isFinal = before >= 0 && all[before].properties.isCased && !(after < all.count && all[after].properties.isCased)
    return isFinal ? "ς" : "σ"
  }

  /// Python's `islower`: some letter has case, and all that have are small.
  var isLower: Bool {
    var found = false
    for scalar in scalars {
      if scalar.properties.isUppercase || scalar.isTitlecase { return false }
      if scalar.properties.isLowercase { found = true }
    }
    return found
  }

  var isUpper: Bool {
    var found = false
    for scalar in scalars {
      if scalar.properties.isLowercase || scalar.isTitlecase { return false }
      if scalar.properties.isUppercase { found = true }
    }
    return found
  }

  var isTitle: Bool {
    var found = false
    var isInside = false
    for scalar in scalars {
      if scalar.properties.isUppercase || scalar.isTitlecase {
        if isInside { return false }
        isInside = true
        found = true
      } else if scalar.properties.isLowercase {
        if !isInside { return false }
        found = true
      } else {
        isInside = false
      }
    }
    return found
  }
}

extension Unicode.Scalar {
  fileprivate var isTitlecase: Bool { properties.generalCategory == .titlecaseLetter }
}

extension String {
  fileprivate var lowercasedScalars: String { unicodeScalars.map(\.properties.lowercaseMapping).joined() }
}
