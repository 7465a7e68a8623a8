import Foundation

/// What is wrong with one row: the field and the reason.
public struct RowProblem: Error, CustomStringConvertible, Sendable {
  /// What was found in which field, and what is wanted.
  public let description: String
  /// For example `"text" is a number, want a string`.
  public init(_ description: String) { self.description = description }

  /// The problem of a missing field or one of the wrong kind.
  static func field(_ name: String, _ found: JSON?, want: String) -> RowProblem {
    RowProblem("\"\(name)\" is \(found?.kind ?? "missing"), want \(want)")
  }
}

/// The rows of a JSONL file, one JSON object a line; empty lines are skipped. `-` reads standard input.
public enum InputRows {
  /// Problems that are listed before reading gives up.
  static let problemLimit = 20

  /// Reads every row through `parse`.
  /// - Throws: `Failure` that lists up to 20 bad rows by file, line and field; nothing is returned then.
  public static func read<Row>(_ path: String, _ parse: (JSONObject) throws -> Row) throws -> [Row] {
    let lines = try bytes(path).split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    var rows: [Row] = []
    var problems: [String] = []
    for (index, line) in lines.enumerated() where !line.allSatisfy(isSpace) {
      do {
        rows.append(try parse(try object(line)))
      } catch let error as JSONError {
        problems.append("\(path):\(index + 1):\(error.column): \(error.message)  \(excerpt(line))")
      } catch {
        problems.append("\(path):\(index + 1): \(error)  \(excerpt(line))")
      }
      if problems.count >= problemLimit { break }
    }
    guard problems.isEmpty else { throw failure(problems) }
    return rows
  }

  private static func object(_ line: ArraySlice<UInt8>) throws -> JSONObject {
    let value = try JSON(parsing: line)
    guard let object = value.object else { throw RowProblem("the row is \(value.kind), want an object") }
    return object
  }

  private static func failure(_ problems: [String]) -> Failure {
    let more = problems.count >= problemLimit ? " (the first \(problemLimit); there may be more)" : ""
    return Failure(
      problems.count == 1 ? "one row cannot be used" : "\(problems.count) rows cannot be used\(more)", at: problems.joined(separator: "\n"),
      why: "every line must be one JSON object with the fields that the command reads", fix: "mend these lines")
  }

  private static func bytes(_ path: String) throws -> [UInt8] {
    do {
      return Array(path == "-" ? try FileHandle.standardInput.readToEnd() ?? Data() : try Data(contentsOf: URL(filePath: path)))
    } catch {
      throw Failure(
        "the input cannot be read", at: path,
        why: FileManager.default.fileExists(atPath: path) ? "\(error.localizedDescription)" : "no such file",
        fix: "check the path of --input")
    }
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }

  private static func excerpt(_ line: ArraySlice<UInt8>) -> String {
    let text = String(decoding: line.prefix(100), as: UTF8.self)
    return line.count > 100 ? text + "…" : text
  }
}

extension JSONObject {
  /// The string under `key`.
  /// - Throws: `RowProblem`.
  public func requireString(_ key: String) throws -> String {
    guard let text = self[key]?.string else { throw RowProblem.field(key, self[key], want: "a string") }
    return text
  }

  /// The token ids under `key`, non-negative 32-bit integers.
  /// - Throws: `RowProblem`.
  public func requireIDs(_ key: String) throws -> [Int32] {
    guard let array = self[key]?.array else { throw RowProblem.field(key, self[key], want: "an array of token ids") }
    return try array.enumerated().map { index, value in
      guard let number = value.int, let id = Int32(exactly: number), id >= 0 else {
        throw RowProblem("\"\(key)\"[\(index)] is \(value.serialized().prefix(40)), want a token id")
      }
      return id
    }
  }

  /// The messages under `key`: a non-empty array of objects with a string `role`.
  /// - Throws: `RowProblem`.
  public func requireMessages(_ key: String) throws -> [JSON] {
    guard let array = self[key]?.array else { throw RowProblem.field(key, self[key], want: "an array of messages") }
    for (index, message) in array.enumerated() {
      guard let object = message.object else { throw RowProblem("\"\(key)\"[\(index)] is \(message.kind), want an object") }
      guard object["role"]?.string != nil else {
        throw RowProblem("\"\(key)\"[\(index)].role is \(object["role"]?.kind ?? "missing"), want a string")
      }
    }
    return array
  }
}
