/// One change to the fields of a GGUF file, behind the input's first byte, as far as the file can be followed.
struct GGUFMutation {
  private struct Field {
    let place, width: Int
    /// Bytes of text or elements behind a length.
    var isLength = false
  }
  private struct Record {
    let range: Range<Int>
    /// Where the count of such records stands.
    let count: Int
  }

  private let input: [UInt8]
  private var place = 1
  private var fields: [Field] = []
  private var records: [Record] = []

  init(_ input: [UInt8]) {
    self.input = input
    guard input.first.map({ $0 & 1 == 0 }) == true, input.count > 25 else { return }
    place += 4
    _ = field(4)
    let (tensors, keys) = (field(8), field(8))
    for _ in 0..<min(keys ?? 0, 64) where !isAtEnd { record(count: 17) { $0.key() } }
    for _ in 0..<min(tensors ?? 0, 64) where !isAtEnd { record(count: 9) { $0.tensor() } }
  }

  private var isAtEnd: Bool { place >= input.count }

  /// Notes a whole number; nil behind the end.
  private mutating func field(_ width: Int, isLength: Bool = false) -> UInt64? {
    guard input.count - place >= width else {
      place = input.count
      return nil
    }
    fields.append(Field(place: place, width: width, isLength: isLength))
    place += width
    return value(fields[fields.count - 1])
  }

  private func value(_ field: Field) -> UInt64 { (0..<field.width).reduce(0) { $0 | UInt64(input[field.place + $1]) << UInt64(8 * $1) } }

  private mutating func skip(_ count: UInt64?) { place += Int(clamping: min(count ?? 0, UInt64(input.count - place))) }

  private mutating func record(count: Int, _ body: (inout GGUFMutation) -> Void) {
    let first = place
    body(&self)
    records.append(Record(range: first..<place, count: count))
  }

  private mutating func key() {
    skip(field(8, isLength: true))
    let kind = field(4)
    value(of: kind, depth: 0)
  }

  private mutating func value(of kind: UInt64?, depth: Int) {
    switch kind {
    case 0, 1, 7: _ = field(1)
    case 2, 3: _ = field(2)
    case 4, 5, 6: _ = field(4)
    case 8: skip(field(8, isLength: true))
    case 9:
      let (element, count) = (field(4), field(8))
      guard depth < 4 else { return }
      for _ in 0..<min(count ?? 0, 16) where !isAtEnd { value(of: element, depth: depth + 1) }
    case 10, 11, 12: _ = field(8)
    default: return
    }
  }

  private mutating func tensor() {
    skip(field(8, isLength: true))
    let rank = field(4)
    for _ in 0..<min(rank ?? 0, 8) { _ = field(8) }
    (_, _) = (field(4), field(8))
  }

  /// The input with one change; nil where there is nothing to change.
  func changed(_ dice: inout Dice) -> [UInt8]? {
    if fields.isEmpty { return nil }
    if !records.isEmpty, dice.roll(4) == 0 { return repeated(records[dice.roll(records.count)], &dice) }
    let chosen = fields[dice.roll(fields.count)]
    let (old, others) = (value(chosen), fields.map(value) + [UInt64(input.count)])
    let new = dice.number(from: old, others)
    var bytes = input
    for i in 0..<chosen.width { bytes[chosen.place + i] = UInt8(truncatingIfNeeded: new >> UInt64(8 * i)) }
    // Every second length is made true again.
    let start = chosen.place + chosen.width
    guard chosen.isLength, new < 256, old <= UInt64(input.count - start), dice.roll(2) == 0 else { return bytes }
    let kept = min(old, new)
    bytes.replaceSubrange(start + Int(kept)..<start + Int(old), with: repeatElement(UInt8(ascii: "x"), count: Int(new - kept)))
    return bytes
  }

  /// A key or tensor twice, or not at all, and the count that goes with it.
  private func repeated(_ record: Record, _ dice: inout Dice) -> [UInt8] {
    var bytes = input
    let isMore = dice.roll(2) == 0
    if isMore { bytes.insert(contentsOf: input[record.range], at: record.range.upperBound) } else { bytes.removeSubrange(record.range) }
    let count = value(Field(place: record.count, width: 8))
    let new = isMore ? count &+ 1 : count &- 1
    if dice.roll(8) > 0 { for i in 0..<8 { bytes[record.count + i] = UInt8(truncatingIfNeeded: new >> UInt64(8 * i)) } }
    return bytes
  }
}
