extension Jinja.Runtime {
  /// Charges a search; a long text is searched for in a slower way.
  func chargeSearch(for wanted: Text, in text: Text) throws {
    try charge(bytes: wanted.byteCount > Text.shortLength ? 8 * text.byteCount : 2 * text.byteCount)
  }

  /// `text.replace(old, new, limit)` within the budget.
  func replace(_ text: Text, _ old: Text, _ new: Text, limit: Int = -1) throws -> Text {
    try chargeSearch(for: old, in: text)
    let growth = new.byteCount - old.byteCount
    if growth > 0 {
      let places = text.occurrences(of: old)
      let count = limit < 0 ? places : min(places, limit)
      let (added, overflow) = count.multipliedReportingOverflow(by: growth)
      try reserve(bytes: overflow ? .max : text.byteCount + added)
    }
    return text.replacing(old, with: new, limit: limit)
  }

  /// Joins values; `strict` as Python's `join` method, which takes only strings, else as the filter, which prints them.
  func join(_ items: [Value], separator: Text, strict: Bool) throws -> Text {
    var bytes: [UInt8] = []
    for (index, item) in items.enumerated() {
      try step()
      let text: Text
      if case .text(let part) = item {
        text = separator.isMarkup && strict && !part.isMarkup ? try escaped(part) : part
      } else if strict {
        if !separator.isMarkup { throw JinjaError.runtime("sequence item \(index): expected str instance, \(item.typeName) found") }
        text = try escaped(self.text(of: item))
      } else {
        text = try self.text(of: item)
      }
      let gap = index > 0 ? separator.byteCount : 0
      try reserve(bytes: gap + text.byteCount)
      try checkLength(bytes.count + gap + text.byteCount)
      if index > 0 { bytes += separator.bytes }
      bytes += text.bytes
    }
    return Text(bytes, isMarkup: separator.isMarkup && strict)
  }

  /// HTML escaping as markupsafe does it.
  func escaped(_ text: Text) throws -> Text {
    if text.isMarkup { return text }
    try charge(bytes: text.byteCount)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.byteCount)
    for byte in text.bytes {
      switch byte {
      case UInt8(ascii: "&"): bytes.append("&amp;")
      case UInt8(ascii: "<"): bytes.append("&lt;")
      case UInt8(ascii: ">"): bytes.append("&gt;")
      case UInt8(ascii: "'"): bytes.append("&#39;")
      case UInt8(ascii: "\""): bytes.append("&#34;")
      default: bytes.append(byte)
      }
    }
    try checkLength(bytes.count)
    return Text(bytes, isMarkup: true)
  }

  func expandingTabs(_ text: Text, _ size: Int) throws -> Text {
    var bytes: [UInt8] = []
    var column = 0
    for scalar in text.scalars {
      if scalar == "\t" {
        let width = size > 0 ? size - column % size : 0
        try reserve(bytes: width)
        try checkLength(bytes.count + width)
        bytes += Array(repeating: UInt8(ascii: " "), count: width)
        column += width
      } else {
        bytes.append(scalar)
        column = scalar == "\n" || scalar == "\r" ? 0 : column + 1
      }
    }
    return Text(bytes, isMarkup: text.isMarkup)
  }
}
