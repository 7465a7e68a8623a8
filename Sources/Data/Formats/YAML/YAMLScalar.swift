/// Plain scalars: the core schema of YAML 1.2, with an error where YAML 1.1 would read another number.
enum YAMLScalar {
  /// The value of a plain (unquoted) scalar.
  static func plain(_ text: String, line: Int, column: Int) throws(YAMLError) -> JSON {
    switch text {
    case "", "~", "null", "Null", "NULL": return .null
    case "true", "True", "TRUE": return .bool(true)
    case "false", "False", "FALSE": return .bool(false)
    default: break
    }
    let bytes = Array(text.utf8)
    guard bytes.count <= 400, let first = bytes.first, first <= UInt8(ascii: "9") else { return .string(text) }
    if isAmbiguous(bytes) {
      throw YAMLError(
        line: line, column: column,
        message:
          "\(text.prefix(40)) is read as different values by different YAML readers: write a plain decimal number, or put it in quotation marks"
      )
    }
    guard isDecimal(bytes) else { return .string(text) }
    let digits = first == UInt8(ascii: "+") ? String(text.dropFirst()) : text
    if let value = Int(digits) { return .int(value) }
    guard let value = Double(digits.last == "." ? digits + "0" : digits.first == "." ? "0" + digits : digits), value.isFinite else {
      throw YAMLError(line: line, column: column, message: "a number out of range: \(text.prefix(40))")
    }
    return .number(value)
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

  /// `[-+]? (digits [. digits?]? | . digits) ([eE] [-+]? digits)?`
  private static func isDecimal(_ bytes: [UInt8]) -> Bool {
    var at = bytes.first == UInt8(ascii: "-") || bytes.first == UInt8(ascii: "+") ? 1 : 0
    func digits() -> Int { bytes[at...].prefix { isDigit($0) }.count }
    let whole = digits()
    at += whole
    var fraction = 0
    if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
      at += 1
      fraction = digits()
      at += fraction
    }
    guard whole + fraction > 0 else { return false }
    if at < bytes.count, bytes[at] | 0x20 == UInt8(ascii: "e") {
      at += 1
      if at < bytes.count, bytes[at] == UInt8(ascii: "-") || bytes[at] == UInt8(ascii: "+") { at += 1 }
      let exponent = digits()
      guard exponent > 0 else { return false }
      at += exponent
    }
    return at == bytes.count
  }

  /// `010`, `1_000`, `0x1F`, `0o17`, `0b1`, `.inf`, `.nan`.
  private static func isAmbiguous(_ bytes: [UInt8]) -> Bool {
    let body = bytes.first == UInt8(ascii: "-") || bytes.first == UInt8(ascii: "+") ? bytes.dropFirst() : bytes[...]
    let lower = String(decoding: body.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    if lower == ".inf" || lower == ".nan" { return true }
    guard let first = body.first, isDigit(first) else { return false }
    if first == UInt8(ascii: "0"), body.count > 1 {
      let rest = body.dropFirst()
      let isNumber = rest.allSatisfy { isDigit($0) || $0 == UInt8(ascii: "_") }
      let prefixed = ["0x", "0o", "0b"].contains { lower.hasPrefix($0) } && rest.dropFirst().allSatisfy(isHex) && rest.count > 1
      if isNumber || prefixed { return true }
    }
    return body.contains(UInt8(ascii: "_")) && body.allSatisfy { isDigit($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") }
  }

  private static func isHex(_ byte: UInt8) -> Bool {
    isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20) || byte == UInt8(ascii: "_")
  }
}
