import Foundation
import SwiftletFormats
import SwiftletTokenizers

/// Where cases from outside the project are: `$SWIFTLET_FIXTURES`, else `../shared/fixtures`.
enum Fixtures {
  static let root = ProcessInfo.processInfo.environment["SWIFTLET_FIXTURES"] ?? "../shared/fixtures"

  /// The folders of tokenizers that are there, sorted by name.
  static var tokenizers: [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: root + "/tokenizers")) ?? []
    return names.filter { FileManager.default.fileExists(atPath: root + "/tokenizers/" + $0 + "/tokenizer_config.json") }.sorted()
  }

  static func folder(_ name: String) -> String { root + "/tokenizers/" + name }

  static func bytes(_ path: String) -> [UInt8]? { FileManager.default.contents(atPath: path).map(Array.init) }

  static func json(_ path: String) throws -> JSON? { try bytes(path).map { try JSON(parsing: $0) } }
}

extension JSON {
  var ints: [Int]? { array?.compactMap(\.int) }
}

/// Equal bytes: `==` would call canonically equivalent texts equal.
func same(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }

/// Counts cases and keeps the first failures.
struct Tally {
  var passed = 0
  var failed = 0
  var samples: [String] = []

  mutating func check(_ isEqual: Bool, _ sample: @autoclosure () -> String) {
    if isEqual {
      passed += 1
    } else {
      failed += 1
      if samples.count < 12 { samples.append(sample()) }
    }
  }
}
