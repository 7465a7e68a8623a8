import SwiftletCPU
import SwiftletFormats

/// A file of rows, one JSON value a line (JSONL) or one JSON array, or a document of plain text, which is one row: an index of where each
/// row stands; rows are read when asked for.
///
/// Needs memory for the index only, 32 bytes a row, however large the file is.
package final class RowFile: Sendable {
  /// The path as it was given.
  package let path: String
  /// Where each row stands, in file order; blank lines are no rows.
  package let places: [RowPlace]
  /// Whether the file is one document of plain text.
  package let isDocument: Bool
  /// Fingerprint of all bytes.
  package let fingerprint: String
  private let file: FileDescriptor

  /// The longest row that is read, in bytes.
  package static let rowLimit = 64 << 20
  private static let chunk = 1 << 20

  /// Opens and indexes a file in one pass.
  /// - Throws: `DatasetError` for a file that is empty, not UTF-8 text, compressed, or an array cut short; `FileError` of the disk.
  package init(_ path: String, isDocument: Bool = false) throws {
    file = try FileDescriptor(reading: path)
    self.path = path
    self.isDocument = isDocument
    let size = try file.size()
    guard size > 0 else {
      throw DatasetError("\(path): the file is empty (0 bytes); \(isDocument ? "text is" : "rows of JSON are") wanted")
    }
    let head = try file.bytes(at: 0, count: min(size, 4096))
    let start = try RowFile.textStart(head, path)
    let isArray = !isDocument && head.dropFirst(start).first { $0 > 0x20 } == UInt8(ascii: "[")
    let (rows, hash) = try RowFile.index(file, size: size, start: start, isArray: isArray)
    places = isDocument ? [RowPlace(offset: start, length: size - start, line: 1, column: 1)] : rows
    fingerprint = hash
    guard !places.isEmpty else { throw DatasetError("\(path): no rows (\(size) bytes of \(isArray ? "an empty array" : "white space"))") }
  }

  /// Bytes of a byte order mark; errors for what is no UTF-8 text.
  private static func textStart(_ head: [UInt8], _ path: String) throws -> Int {
    if head.starts(with: [0xEF, 0xBB, 0xBF]) { return 3 }
    if head.starts(with: [0x1F, 0x8B]) { throw DatasetError("\(path):1:1: the file is compressed (gzip)\n  fix: gunzip -k \(path)") }
    if head.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) {
      throw DatasetError("\(path):1:1: the file is compressed (zstd)\n  fix: unzstd \(path)")
    }
    if head.starts(with: Array("PAR1".utf8)) {
      throw DatasetError(
        "\(path):1:1: the file is Parquet, want JSONL or JSON\n  fix: convert it, for example with pandas: to_json(lines=True)")
    }
    if head.starts(with: [0xFE, 0xFF]) || head.starts(with: [0xFF, 0xFE]) || head.prefix(4).contains(0) {
      throw DatasetError("\(path):1:1: the file is UTF-16 or UTF-32 text, want UTF-8\n  fix: iconv -f UTF-16 -t UTF-8 \(path)")
    }
    return 0
  }

  private static func index(_ file: FileDescriptor, size: Int, start: Int, isArray: Bool) throws -> ([RowPlace], String) {
    var hash = ContentHash()
    var lines = LineScanner(start: start)
    var array = ArrayScanner(start: start)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk, alignment: 16)
    defer { buffer.deallocate() }
    var offset = 0
    while offset < size {
      let count = try file.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(chunk, size - offset)]))
      if count == 0 { break }
      let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
      hash.update(bytes)
      let skipped = offset == 0 ? start : 0
      let text = UnsafeRawBufferPointer(rebasing: bytes[skipped...])
      if isArray { array.scan(text, at: offset + skipped) } else { lines.scan(text, at: offset + skipped) }
      offset += count
    }
    if isArray { array.finish(at: offset) } else { lines.finish(at: offset) }
    if let failure = array.failure, isArray { throw DatasetError("\(file.path):\(failure)") }
    return (isArray ? array.rows : lines.rows, hash.hex)
  }

  /// The bytes of row `index`.
  /// - Throws: `FileError` where the file became shorter or cannot be read; `DatasetError` for a row over the limit.
  package func bytes(_ index: Int) throws -> [UInt8] {
    let place = places[index]
    guard place.length <= Self.rowLimit else {
      throw DatasetError("\(path):\(place.line):\(place.column): a row of \(place.length) bytes; at most \(Self.rowLimit) are read")
    }
    var bytes = try file.bytes(at: place.offset, count: place.length)
    if isDocument { return bytes }
    while let last = bytes.last, last == 0x0D || last == 0x20 || last == 0x09 { bytes.removeLast() }
    return bytes
  }

  /// A finding about row `index`, with the place of the value at `path` inside it.
  package func finding(_ index: Int, _ path: JSONPath, _ message: String) -> RowFinding {
    let bytes = (try? bytes(index)) ?? []
    let offset = bytes.withUnsafeBytes { JSON.offset(of: path, in: $0) }
    return finding(index, offset: offset, in: bytes, message)
  }

  /// A finding about row `index` that is not JSON.
  package func finding(_ index: Int, _ error: JSONError) -> RowFinding {
    let bytes = (try? bytes(index)) ?? []
    var start = 0
    for _ in 1..<max(1, error.line) { start = (bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? start - 1) + 1 }
    return finding(index, offset: start + error.column - 1, in: bytes, "not JSON: \(error.message)")
  }

  /// A finding about byte `offset` of row `index`.
  package func finding(_ index: Int, offset: Int, _ message: String) -> RowFinding {
    finding(index, offset: offset, in: (try? bytes(index)) ?? [], message)
  }

  private func finding(_ index: Int, offset: Int, in bytes: [UInt8], _ message: String) -> RowFinding {
    let before = bytes.prefix(offset)
    let lines = before.count { $0 == UInt8(ascii: "\n") }
    let column = before.reversed().prefix { $0 != UInt8(ascii: "\n") }.count
    let place = places[index]
    return RowFinding(
      file: path, line: place.line + lines, column: lines == 0 ? place.column + column : column + 1, message: message,
      excerpt: Self.excerpt(bytes, around: offset))
  }

  /// Up to 120 bytes, from the row's start where the fault is near it.
  private static func excerpt(_ bytes: [UInt8], around offset: Int) -> String {
    let length = 120
    var start = offset > length * 2 / 3 ? offset - length / 3 : 0
    while start > 0, start < bytes.count, bytes[start] & 0xC0 == 0x80 { start -= 1 }
    var end = min(bytes.count, start + length)
    while end < bytes.count, end > start, bytes[end] & 0xC0 == 0x80 { end -= 1 }
    let scalars = String(decoding: bytes[min(start, end)..<end], as: UTF8.self).unicodeScalars.map { scalar in
      scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value) ? " " : String(scalar)
    }
    return (start > 0 ? "…" : "") + scalars.joined() + (end < bytes.count ? "…" : "")
  }
}
