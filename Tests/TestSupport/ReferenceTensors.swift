import Foundation
import SwiftletFormats

/// A safetensors file read whole, by code that shares nothing with the product's reader.
package struct ReferenceTensors {
  private let bytes: Data
  private let header: JSON
  private let start: Int

  package init(_ url: URL) throws {
    bytes = try Data(contentsOf: url)
    guard bytes.count >= 8 else { throw Command.Failed(description: "\(url.lastPathComponent) is too short") }
    let length = bytes.prefix(8).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
    start = 8 + length
    guard start <= bytes.count else { throw Command.Failed(description: "\(url.lastPathComponent): header of \(length) bytes") }
    header = try JSON(parsing: bytes[8..<start])
  }

  package var names: [String] { (header.object?.keys ?? []).filter { $0 != "__metadata__" } }

  package func has(_ name: String) -> Bool { header[name] != nil }

  package func shape(_ name: String) throws -> [Int] { try entry(name)["shape"]?.ids ?? [] }

  package func floats(_ name: String) throws -> [Float] {
    let type = try entry(name)["dtype"]?.string
    switch type {
    case "F32": return try values(name, UInt32.self).map { Float(bitPattern: $0) }
    case "BF16": return try values(name, UInt16.self).map { Float(bitPattern: UInt32($0) << 16) }
    case "F16": return try values(name, UInt16.self).map { Float(Float16(bitPattern: $0)) }
    default: throw Command.Failed(description: "\(name) is \(type ?? "without a dtype"), want floats")
    }
  }

  package func integers(_ name: String) throws -> [Int] {
    let type = try entry(name)["dtype"]?.string
    switch type {
    case "I64": return try values(name, Int64.self).map(Int.init)
    case "I32": return try values(name, Int32.self).map(Int.init)
    default: throw Command.Failed(description: "\(name) is \(type ?? "without a dtype"), want integers")
    }
  }

  /// The bytes of a tensor of one-byte numbers.
  package func octets(_ name: String) throws -> [UInt8] { try values(name, UInt8.self) }

  /// The bits of a tensor of two-byte numbers.
  package func words(_ name: String) throws -> [UInt16] { try values(name, UInt16.self) }

  package func dtype(_ name: String) throws -> String { try entry(name)["dtype"]?.string ?? "" }

  private func entry(_ name: String) throws -> JSON {
    guard let entry = header[name] else { throw Command.Failed(description: "no tensor \(name)") }
    return entry
  }

  private func values<Value: FixedWidthInteger>(_ name: String, _ type: Value.Type) throws -> [Value] {
    guard let range = try entry(name)["data_offsets"]?.ids, range.count == 2, start + range[1] <= bytes.count else {
      throw Command.Failed(description: "\(name) has no place in the file")
    }
    let slice = bytes[start + range[0]..<start + range[1]]
    return slice.withUnsafeBytes { raw in
      (0..<raw.count / MemoryLayout<Value>.size).map { raw.loadUnaligned(fromByteOffset: $0 * MemoryLayout<Value>.size, as: Value.self) }
    }
  }
}
