import SwiftletFormats

/// Reads the large tables of a `tokenizer.json` straight from its bytes.
struct TableReader {
  private var scanner: JSONScanner
  private let end: Int
  private let file: String
  private let field: String
  /// The bytes of the last string that had escapes.
  private var unescaped: [UInt8] = []

  init(_ bytes: Bytes, _ range: Range<Int>, file: String, field: String) {
    scanner = JSONScanner(bytes: Bytes(rebasing: bytes[..<range.upperBound]))
    scanner.at = range.lowerBound
    end = range.upperBound
    self.file = file
    self.field = field
  }

  private func failure(_ path: String, _ wanted: String) -> TokenizerError {
    var scanner = scanner
    scanner.skipSpace()
    let found =
      scanner.at < end ? "\"\(String(decoding: scanner.bytes[scanner.at..<min(scanner.at + 20, end)], as: UTF8.self))\"" : "the end"
    let line = 1 + scanner.bytes[..<scanner.at].count { $0 == 10 }
    return TokenizerError(file: file, field: field + path, "\(wanted) is wanted, found \(found) (line \(line))")
  }

  /// Calls `body` with the bytes of a string.
  private mutating func withString<T>(_ path: @autoclosure () -> String, _ body: (Bytes) throws -> T) throws -> T {
    let start = scanner
    guard let (range, hasEscapes) = scanner.string() else {
      scanner = start
      throw failure(path(), "a string")
    }
    if hasEscapes {
      let quoted = scanner.bytes[range.lowerBound - 1..<range.upperBound + 1]
      guard let text = try? JSON(parsing: quoted).string else {
        scanner = start
        throw failure(path(), "a string with valid escapes")
      }
      unescaped = Array(text.utf8)
      return try unescaped.withUnsafeBufferPointer(body)
    }
    let bytes = Bytes(rebasing: scanner.bytes[range])
    guard bytes.allSatisfy({ $0 >= 0x20 && $0 < 0x80 }) || String(validating: bytes, as: UTF8.self) != nil else {
      scanner = start
      throw failure(path(), "a string in UTF-8")
    }
    return try body(bytes)
  }

  private mutating func id(_ path: @autoclosure () -> String) throws -> Int {
    scanner.skipSpace()
    let start = scanner.at
    var value = 0
    while scanner.at < end, scanner.bytes[scanner.at] >= 0x30, scanner.bytes[scanner.at] <= 0x39, value <= TokenTable.idLimit {
      value = value * 10 + Int(scanner.bytes[scanner.at] - 0x30)
      scanner.at += 1
    }
    let isNumber = scanner.at > start && value <= TokenTable.idLimit
    let goesOn = scanner.at < end && [0x2E, 0x45, 0x65].contains(scanner.bytes[scanner.at])
    guard isNumber, !goesOn else {
      scanner.at = start
      throw failure(path(), "an id of 0 to \(TokenTable.idLimit)")
    }
    return value
  }

  private mutating func finish() throws {
    scanner.skipSpace()
    guard scanner.at == end else { throw failure("", "the end of the table") }
  }

  /// `{"token": id, …}`.
  mutating func vocabulary() throws -> TokenTable {
    var table = TokenTable()
    table.reserve(tokens: max(16, (end - scanner.at) / 24), bytes: (end - scanner.at) / 2)
    var index = 0
    var token: [UInt8] = []
    guard scanner.take(0x7B) else { throw failure("", "an object of tokens and ids") }
    if scanner.take(0x7D) {
      try finish()
      return table
    }
    repeat {
      token.removeAll(keepingCapacity: true)
      try withString(", entry \(index)") { token.append(contentsOf: $0) }
      guard scanner.take(0x3A) else { throw failure(", entry \(index)", "':'") }
      table.insert(token, id: try id(", entry \(index)"))
      index += 1
    } while scanner.take(0x2C)
    guard scanner.take(0x7D) else { throw failure(", entry \(index)", "',' or '}'") }
    try finish()
    return table
  }

  /// `[["piece", score], …]`.
  mutating func scoredPieces() throws -> (TokenTable, [Double]) {
    var table = TokenTable()
    var scores: [Double] = []
    try elements { reader, index in
      guard reader.scanner.take(0x5B) else { throw reader.failure("[\(index)]", "a pair of piece and score") }
      try reader.withString("[\(index)][0]") { table.insert($0, id: index) }
      guard reader.scanner.take(0x2C) else { throw reader.failure("[\(index)]", "','") }
      scores.append(try reader.number("[\(index)][1]"))
      guard reader.scanner.take(0x5D) else { throw reader.failure("[\(index)]", "']'") }
      guard index < TokenTable.idLimit else { throw reader.failure("[\(index)]", "at most \(TokenTable.idLimit) pieces") }
    }
    return (table, scores)
  }

  /// A number, read as `serde_json` reads it: digits as an integer, then one multiplication or division by a power of ten. That can be
  /// off by the last bit, and scores must equal those that Hugging Face compares.
  private mutating func number(_ path: @autoclosure () -> String) throws -> Double {
    scanner.skipSpace()
    let start = scanner
    guard let range = scanner.value(), (try? JSON(parsing: scanner.bytes[range]))?.double != nil else {
      scanner = start
      throw failure(path(), "a number")
    }
    var digits: UInt64 = 0
    var exponent = 0
    var isFraction = false
    var isFull = false
    var at = range.lowerBound
    while at < range.upperBound {
      let byte = scanner.bytes[at]
      at += 1
      if byte == 0x2E { isFraction = true }
      if byte == 0x45 || byte == 0x65 { break }
      guard byte >= 0x30, byte <= 0x39 else { continue }
      let (tens, over) = digits.multipliedReportingOverflow(by: 10)
      let (sum, carry) = tens.addingReportingOverflow(UInt64(byte - 0x30))
      if isFull || over || carry {
        isFull = true
        if !isFraction { exponent += 1 }
      } else {
        digits = sum
        if isFraction { exponent -= 1 }
      }
    }
    let written = Int(String(decoding: scanner.bytes[at..<range.upperBound], as: UTF8.self)) ?? 0
    exponent += max(-10_000, min(10_000, written))
    var value = Double(digits)
    while exponent < -308, value != 0 {
      value /= 1e308
      exponent += 308
    }
    if exponent < 0 { value /= Self.powers[-exponent] } else { value *= exponent > 308 ? .infinity : Self.powers[exponent] }
    return scanner.bytes[range.lowerBound] == 0x2D ? -value : value
  }

  private static let powers = (0...308).map { Double("1e\($0)") ?? .infinity }

  /// `["a b", …]` or `[["a", "b"], …]`; `body` gets the two parts.
  mutating func merges(_ body: (Int, Bytes, Bytes) throws -> Void) throws {
    var first: [UInt8] = []
    var skipped = 0
    try elements { reader, index in
      reader.scanner.skipSpace()
      if reader.scanner.take(0x5B) {
        first.removeAll(keepingCapacity: true)
        try reader.withString("[\(index)][0]") { first.append(contentsOf: $0) }
        guard reader.scanner.take(0x2C) else { throw reader.failure("[\(index)]", "','") }
        try reader.withString("[\(index)][1]") { second in
          try first.withUnsafeBufferPointer { try body(index - skipped, $0, second) }
        }
        guard reader.scanner.take(0x5D) else { throw reader.failure("[\(index)]", "']'") }
        return
      }
      let isPair = try reader.withString("[\(index)]") { line -> Bool in
        if line.starts(with: Array("#version".utf8)) {
          skipped += 1
          return true
        }
        guard let space = line.firstIndex(of: 0x20), !line[(space + 1)...].contains(0x20) else { return false }
        try body(index - skipped, Bytes(rebasing: line[..<space]), Bytes(rebasing: line[(space + 1)...]))
        return true
      }
      if !isPair {
        throw TokenizerError(file: reader.file, field: reader.field + "[\(index)]", "two parts with one space between them are wanted")
      }
    }
  }

  private mutating func elements(_ body: (inout TableReader, Int) throws -> Void) throws {
    guard scanner.take(0x5B) else { throw failure("", "an array") }
    var index = 0
    if scanner.take(0x5D) { return try finish() }
    repeat {
      try body(&self, index)
      index += 1
    } while scanner.take(0x2C)
    guard scanner.take(0x5D) else { throw failure("[\(index)]", "',' or ']'") }
    try finish()
  }
}
