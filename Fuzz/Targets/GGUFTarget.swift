import SwiftletFormats

/// Even first byte: the input is a file. Odd: it is a program that writes one, an instruction at a time, so that most inputs are files whose
/// lengths and counts agree but for a few.
func gguf(_ input: UnsafeRawBufferPointer) {
  guard let first = input.first else { return }
  let bytes = first & 1 == 0 ? Array(input.dropFirst()) : GGUFProgram(input.dropFirst()).bytes
  bytes.withUnsafeBytes { bytes in
    guard let header = try? GGUFHeader(parsing: bytes, file: "input") else { return }
    precondition(header.alignment > 0 && header.alignment & (header.alignment - 1) == 0, "an alignment that is no power of two")
    for (key, value) in header.metadata {
      precondition(!key.isEmpty, "a key without a name")
      if let array = value.array {
        precondition(array.count <= bytes.count, "\(key): more elements than bytes")
        if let values = array.values { precondition(values.count == array.count, "\(key): elements are missing") }
      }
    }
    var end = 0
    for tensor in header.tensors.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) where !tensor.range.isEmpty {
      precondition(tensor.type.byteCount(of: tensor.dimensions) == tensor.range.count, "\(tensor.name): sizes and bytes differ")
      precondition(tensor.range.lowerBound >= end && tensor.range.upperBound <= bytes.count, "\(tensor.name): out of place")
      end = tensor.range.upperBound
    }
  }
}

/// A file made of instructions of a byte, with their operands behind.
private struct GGUFProgram {
  private(set) var bytes: [UInt8] = []
  private var rest: ArraySlice<UInt8>
  private var keys: UInt64 = 0
  private var tensors: UInt64 = 0

  init(_ program: Slice<UnsafeRawBufferPointer>) {
    rest = Array(program)[...]
    let flags = next()
    var (metadata, table): ([UInt8], [UInt8]) = ([], [])
    while let instruction = rest.popFirst() {
      if instruction & 0x80 == 0 { key(instruction, &metadata) } else { tensor(instruction, &table) }
      if keys + tensors > 64 { break }
    }
    bytes = Array("GGUF".utf8) + little(UInt32(flags & 1 == 0 ? 3 : 2))
    // Now and then a count lies.
    bytes += little(flags & 0x40 == 0 ? tensors : tensors &+ UInt64(flags)) + little(flags & 0x20 == 0 ? keys : keys &- 1)
    bytes += metadata + table
    bytes += [UInt8](repeating: 0, count: 31 + Int(flags & 0x1E) * 64)
  }

  private mutating func next() -> UInt8 { rest.popFirst() ?? 0 }

  private func little<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

  private mutating func taken(_ count: Int) -> [UInt8] { (0..<count).map { _ in next() } }

  /// A length that is right but for one in sixteen.
  private mutating func length(_ right: Int) -> [UInt8] {
    let lie = next()
    switch lie {
    case 0xF0...0xF7: return little(UInt64(right) &+ UInt64(lie & 7))
    case 0xF8...0xFB: return little(UInt64(1) << UInt64(56 + (lie & 7)))
    case 0xFC...0xFF: return little(UInt64.max &- UInt64(lie & 3))
    default: return little(UInt64(right))
    }
  }

  private mutating func name(_ prefix: UInt8) -> [UInt8] {
    let text = [prefix] + taken(Int(next() & 3))
    return length(text.count) + text
  }

  private mutating func key(_ instruction: UInt8, _ out: inout [UInt8]) {
    if instruction & 0x40 != 0 {
      let alignment = Array("general.alignment".utf8)
      out += little(UInt64(alignment.count)) + alignment + little(UInt32(4)) + little(UInt32(1) << UInt32(instruction & 31))
    } else {
      let kind = UInt32(instruction & 15)
      out += name(UInt8(ascii: "a") &+ UInt8(keys & 15)) + little(kind) + value(kind, depth: 0)
    }
    keys += 1
  }

  private mutating func value(_ kind: UInt32, depth: Int) -> [UInt8] {
    switch kind {
    case 0, 1: return taken(1)
    case 2, 3: return taken(2)
    case 4...6: return taken(4)
    case 7: return [next() & 1]
    case 10...12: return taken(8)
    case 8:
      let text = taken(Int(next() & 15))
      return length(text.count) + text
    case 9:
      let (element, count) = (UInt32(next() % 13), Int(next() & 7))
      guard depth < 8 else { return [] }
      return little(element) + length(count) + (0..<count).flatMap { _ in value(element, depth: depth + 1) }
    default: return taken(3)
    }
  }

  private mutating func tensor(_ instruction: UInt8, _ out: inout [UInt8]) {
    let rank = Int(instruction & 7)
    out += name(UInt8(ascii: "t") &+ UInt8(tensors & 3)) + little(UInt32(rank))
    for axis in 0..<rank { out += length(axis == 0 ? Int(next()) << (instruction & 8 == 0 ? 0 : 5) : Int(next() & 7)) }
    out += little(UInt32(next() & 0x3F)) + length(Int(next()) << 5)
    tensors += 1
  }
}
