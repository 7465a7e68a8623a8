import Foundation
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletTensorCore

/// Reference results from outside the project: `$SWIFTLET_FIXTURES`, by default `../shared/fixtures`.
enum Fixtures {
  static let root = ProcessInfo.processInfo.environment["SWIFTLET_FIXTURES"] ?? packageRoot + "/../shared/fixtures"
  static let packageRoot = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
    .deletingLastPathComponent().path

  /// The folders under `kind` that hold `file`, sorted; empty, with a message, where there are none.
  static func folders(_ kind: String, with file: String) -> [String] {
    let base = root + "/" + kind
    let names = (try? FileManager.default.contentsOfDirectory(atPath: base)) ?? []
    let found = names.sorted().map { base + "/" + $0 }.filter { exists($0 + "/" + file) }
    if found.isEmpty { print("skipped: no \(file) under \(base)") }
    return found
  }

  /// Made for this project and part of it: Tests/Fixtures.
  static let own = packageRoot + "/Tests/Fixtures"
  /// A small Llama with an adapter and reference results.
  static let tinyLlama = own + "/models/tiny_llama"

  /// Small models of families that differ most, with adapters and reference results.
  static let tiny = [tinyLlama, own + "/models/tiny_gpt_oss", own + "/models/tiny_deepseek_v3"]

  /// A new empty folder that `body` may fill; gone afterwards.
  static func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = NSTemporaryDirectory() + "swiftlet-model-tests-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
  }

  static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

  static func json(_ path: String) throws -> JSON { try JSON(parsing: Array(try Data(contentsOf: URL(fileURLWithPath: path)))) }
}

/// A safetensors file of reference tensors.
struct Reference {
  let tensors: StoredTensors
  init(_ path: String) throws { tensors = try StoredTensors(file: path) }

  func has(_ name: String) -> Bool { tensors.shape(name) != nil }
  func floats(_ name: String) throws -> [Float] { try tensors.tensor(name).array() }
  func ints(_ name: String) throws -> [Int32] { try tensors.tensor(name).array(Int64.self).map { Int32($0) } }
  func shape(_ name: String) throws -> Shape { try tensors.tensor(name).shape }
}

/// A batch without its padding: rows one after another.
struct Batch {
  let lengths: [Int]
  let ids: [Int32]
  let labels: [Int32]
  /// For each token its place in the padded `[rows, columns]` tensors.
  let places: [Int]
  let columns: Int

  init(_ reference: Reference, _ prefix: String, rows: Range<Int>? = nil) throws {
    let shape = try reference.shape(prefix + ".input_ids").dimensions
    let (columns, rows) = (shape[shape.count - 1], rows ?? 0..<(shape.dropLast().reduce(1, *)))
    let all = try reference.ints(prefix + ".input_ids")
    let mask = try reference.has(prefix + ".attention_mask") ? reference.ints(prefix + ".attention_mask") : all.map { _ in 1 }
    let labels = try reference.has(prefix + ".labels") ? reference.ints(prefix + ".labels") : all
    self.columns = columns
    places = rows.flatMap { row in (row * columns..<(row + 1) * columns).filter { mask[$0] == 1 } }
    lengths = rows.map { row in (row * columns..<(row + 1) * columns).count { mask[$0] == 1 } }
    ids = places.map { all[$0] }
    self.labels = places.map { labels[$0] }
  }
}

/// Gathers comparisons of one kind and says which failed.
struct Comparison {
  let name: String
  private(set) var failures: [String] = []
  private(set) var passed = 0
  private(set) var worst: [String: Float] = [:]

  init(_ name: String) { self.name = name }

  mutating func expect(_ condition: Bool, _ message: @autoclosure () -> String) {
    if condition { passed += 1 } else { failures.append("\(name): \(message())") }
  }

  /// Largest absolute difference at most `tolerance`.
  mutating func close(_ kind: String, _ found: some Collection<Float>, _ wanted: some Collection<Float>, _ tolerance: Float) {
    guard found.count == wanted.count else { return failures.append("\(name): \(kind): \(found.count) numbers, wanted \(wanted.count)") }
    let difference = zip(found, wanted).reduce(Float(0)) { $1.0.isFinite ? max($0, abs($1.0 - $1.1)) : .infinity }
    worst[kind] = max(worst[kind] ?? 0, difference)
    expect(difference <= tolerance, "\(kind): differs by \(difference), allowed \(tolerance)")
  }

  /// Relative L2 distance at most 1e-4, or every element within 2e-5.
  mutating func closeGradient(_ tensor: String, _ found: [Float], _ wanted: [Float]) {
    guard found.count == wanted.count else { return failures.append("\(name): \(tensor): \(found.count) numbers, wanted \(wanted.count)") }
    var (difference, norm, most): (Double, Double, Float) = (0, 0, 0)
    for (a, b) in zip(found, wanted) {
      difference += Double(a - b) * Double(a - b)
      norm += Double(b) * Double(b)
      most = a.isFinite ? max(most, abs(a - b)) : .infinity
    }
    let relative = norm > 0 ? Float((difference / norm).squareRoot()) : 0
    if most > 2e-5 { worst["gradient"] = max(worst["gradient"] ?? 0, relative) }
    expect(most <= 2e-5 || relative <= 1e-4, "gradient of \(tensor): relative L2 \(relative), absolute \(most)")
  }
}
