import SwiftletFormats

/// Where a row stands in its file.
package struct RowPlace: Hashable, Sendable {
  /// First byte.
  package var offset: Int
  /// Bytes.
  package var length: Int
  /// Line of the first byte, from 1.
  package var line: Int
  /// Column of the first byte, from 1.
  package var column: Int
}

/// Finds the rows of a JSON array of rows while its bytes stream by. Looks only at what separates rows; each row is parsed later by itself.
struct ArrayScanner {
  private enum State { case start, firstElement, element, betweenElements, nextElement, end }

  private(set) var rows: [RowPlace] = []
  private(set) var failure: JSONError?
  private var state = State.start
  private var depth = 0
  private var inString = false
  private var escaped = false
  private var line = 1
  private var lineStart = 0
  private var current = RowPlace(offset: 0, length: 0, line: 1, column: 1)

  /// `lineStart` is the offset of the first byte behind a byte order mark.
  init(start: Int) { lineStart = start }

  mutating func scan(_ bytes: UnsafeRawBufferPointer, at base: Int) {
    for index in bytes.indices where failure == nil {
      step(bytes[index], at: base + index)
      if bytes[index] == UInt8(ascii: "\n") {
        line += 1
        lineStart = base + index + 1
      }
    }
  }

  mutating func finish(at offset: Int) {
    guard failure == nil, state != .end else { return }
    fail("the file ends inside the array of rows (cut short?)", at: offset)
  }

  private mutating func fail(_ message: String, at offset: Int) {
    failure = JSONError(line: line, column: offset - lineStart + 1, message: message)
  }

  private mutating func step(_ byte: UInt8, at offset: Int) {
    if state == .element { return inside(byte, at: offset) }
    if byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { return }
    switch (state, byte) {
    case (.start, UInt8(ascii: "[")): state = .firstElement
    case (.firstElement, UInt8(ascii: "]")), (.betweenElements, UInt8(ascii: "]")): state = .end
    case (.betweenElements, UInt8(ascii: ",")): state = .nextElement
    case (.betweenElements, _): fail("',' or ']' is wanted after a row", at: offset)
    case (.nextElement, UInt8(ascii: "]")), (_, UInt8(ascii: ",")): fail("a row is wanted after ','", at: offset)
    case (.firstElement, _), (.nextElement, _):
      state = .element
      (depth, inString, escaped) = (0, false, false)
      current = RowPlace(offset: offset, length: 0, line: line, column: offset - lineStart + 1)
      inside(byte, at: offset)
    default: fail("text after the end of the array of rows", at: offset)
    }
  }

  private mutating func inside(_ byte: UInt8, at offset: Int) {
    if inString {
      if escaped {
        escaped = false
      } else if byte == UInt8(ascii: "\\") {
        escaped = true
      } else if byte == UInt8(ascii: "\"") {
        inString = false
      }
      if !inString && depth == 0 { close(at: offset + 1) }
      return
    }
    switch byte {
    case UInt8(ascii: "\""): inString = true
    case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
    case UInt8(ascii: "}"), UInt8(ascii: "]"):
      if depth == 0 {
        // The end of the array right behind a scalar.
        close(at: offset)
        step(byte, at: offset)
        return
      }
      depth -= 1
      if depth == 0 { close(at: offset + 1) }
    case UInt8(ascii: ","), 0x20, 0x0A, 0x0D, 0x09:
      if depth == 0 {
        close(at: offset)
        step(byte, at: offset)
      }
    default: break
    }
  }

  private mutating func close(at end: Int) {
    current.length = end - current.offset
    rows.append(current)
    state = .betweenElements
  }
}

/// Finds the rows of a file with a row a line.
struct LineScanner {
  private(set) var rows: [RowPlace] = []
  private var line = 1
  private var lineStart: Int
  private var contentStart: Int?

  init(start: Int) { lineStart = start }

  mutating func scan(_ bytes: UnsafeRawBufferPointer, at base: Int) {
    var at = 0
    while at < bytes.count {
      if contentStart == nil {
        while at < bytes.count, bytes[at] <= 0x20, bytes[at] != UInt8(ascii: "\n") { at += 1 }
        if at < bytes.count, bytes[at] != UInt8(ascii: "\n") { contentStart = base + at }
      }
      guard let newline = bytes[at...].firstIndex(of: UInt8(ascii: "\n")) else { return }
      close(at: base + newline)
      lineStart = base + newline + 1
      line += 1
      at = newline + 1
    }
  }

  mutating func finish(at end: Int) { close(at: end) }

  private mutating func close(at end: Int) {
    guard let start = contentStart else { return }
    rows.append(RowPlace(offset: start, length: end - start, line: line, column: start - lineStart + 1))
    contentStart = nil
  }
}
