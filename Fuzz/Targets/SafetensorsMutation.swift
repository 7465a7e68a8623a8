/// One change to the header of a safetensors file: a number, or the format of a tensor. The header's length, and for inputs that are a header
/// alone the number of bytes behind it, are made true again most times.
struct SafetensorsMutation {
  private let input: [UInt8]
  /// Bytes before the header: the three that choose, and its length in a file.
  private let start: Int
  /// Where digits stand together.
  private var numbers: [Range<Int>] = []
  /// What stands behind `"dtype":"`, without the quotes.
  private var formats: [Range<Int>] = []

  private static let names = [
    "BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "U16", "I16", "F16", "BF16", "U32", "I32", "F32", "U64", "I64", "F64", "F4", "X",
  ]

  init(_ input: [UInt8]) {
    self.input = input
    start = input.first.map { $0 & 1 == 1 } == true ? 3 : 11
    var place = start
    let end = end
    let digits = UInt8(ascii: "0")...UInt8(ascii: "9"), capitals = UInt8(ascii: "A")...UInt8(ascii: "Z")
    while place < end {
      let first = place
      if capitals.contains(input[place]) {
        while place < end, input[place] != UInt8(ascii: "\"") { place += 1 }
        formats.append(first..<place)
      } else if digits.contains(input[place]) {
        while place < end, digits.contains(input[place]) { place += 1 }
        numbers.append(first..<place)
      } else {
        place += 1
      }
    }
  }

  /// The end of the header.
  private var end: Int {
    guard start == 11 else { return input.count }
    return input.count < 11 ? 0 : 11 + Int(clamping: min(length, UInt64(input.count - 11)))
  }

  private var length: UInt64 { (0..<8).reduce(0) { $0 | UInt64(input[3 + $1]) << UInt64(8 * $1) } }

  private func number(_ range: Range<Int>) -> UInt64 { UInt64(String(decoding: input[range], as: UTF8.self)) ?? 0 }

  /// The input with one change; nil where there is nothing to change.
  func changed(_ dice: inout Dice) -> [UInt8]? {
    let isFormat = !formats.isEmpty && dice.roll(4) == 0
    let places = isFormat ? formats : numbers
    if places.isEmpty { return nil }
    let range = places[dice.roll(places.count)]
    let text = isFormat ? Self.names[dice.roll(Self.names.count)] : "\(dice.number(from: number(range), numbers.map(number)))"
    var bytes = input
    bytes.replaceSubrange(range, with: text.utf8)
    guard dice.roll(8) > 0 else { return bytes }
    if start == 11 {
      let new = UInt64(end - 11 + text.utf8.count - range.count)
      for i in 0..<8 { bytes[3 + i] = UInt8(truncatingIfNeeded: new >> UInt64(8 * i)) }
    } else {
      // Bytes behind the header: high · 16 | low.
      let most = Int(clamping: (numbers.map(number).filter { $0 < 4096 } + [0]).max() ?? 0)
      (bytes[1], bytes[2]) = (UInt8(most >> 4), UInt8(most & 15))
    }
    return bytes
  }
}
