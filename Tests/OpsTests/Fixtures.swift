import Foundation
import SwiftletTensorCore

/// Files that outside checks and these tests share; tests of absent folders are skipped with a message.
enum Fixtures {
  static let root: URL = {
    if let path = ProcessInfo.processInfo.environment["SWIFTLET_FIXTURES"] { return URL(fileURLWithPath: path) }
    var package = URL(fileURLWithPath: #filePath)
    for _ in 0..<3 { package.deleteLastPathComponent() }
    return package.deletingLastPathComponent().appendingPathComponent("shared/fixtures")
  }()

  static func has(_ path: String) -> Bool { FileManager.default.fileExists(atPath: root.appendingPathComponent(path).path) }

  static func data(_ path: String) throws -> Data { try Data(contentsOf: root.appendingPathComponent(path)) }

  static func json(_ path: String) throws -> [String: Any] {
    try JSONSerialization.jsonObject(with: data(path)) as? [String: Any] ?? [:]
  }

  /// Float32 tensors of a safetensors file: little-endian length, JSON header, bytes.
  static func tensors(_ path: String) throws -> [String: Tensor] {
    let bytes = try [UInt8](data(path))
    let length = bytes[0..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
    let header = try JSONSerialization.jsonObject(with: Data(bytes[8..<8 + length])) as? [String: Any] ?? [:]
    var tensors: [String: Tensor] = [:]
    for (name, value) in header {
      guard let entry = value as? [String: Any], entry["dtype"] as? String == "F32", let shape = entry["shape"] as? [Int],
        let offsets = entry["data_offsets"] as? [Int]
      else { continue }
      let numbers = stride(from: 8 + length + offsets[0], to: 8 + length + offsets[1], by: 4).map { place in
        Float(bitPattern: bytes[place..<place + 4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
      }
      tensors[name] = Tensor(numbers, Shape(shape))
    }
    return tensors
  }
}

/// Numbers of nested lists in order; null is −∞.
func flatten(_ value: Any?) -> [Float] {
  if let list = value as? [Any] { return list.flatMap { flatten($0) } }
  return [(value as? NSNumber)?.floatValue ?? -.infinity]
}

/// The largest excess of |found − wanted| over `absolute + relative·|wanted|`; infinite where the infinities differ.
func excess(_ found: some Sequence<Float>, _ wanted: some Sequence<Float>, absolute: Float, relative: Float = 0) -> Float {
  zip(found, wanted).reduce(-.infinity) { worst, pair in
    let (a, b) = pair
    if a == b { return max(worst, 0) }
    let value = abs(a - b) - absolute - relative * abs(b)
    return value.isNaN ? .infinity : max(worst, value)
  }
}
