/// Which pairs of tokens merge, in which order, into what.
struct MergeTable: Sendable {
  private struct Slot {
    var pair: UInt64
    var rank: UInt32
    var id: Int32
  }

  private static let empty = UInt64.max
  private var slots: [Slot]
  private var count = 0

  init(capacity: Int) {
    var size = 16
    while size * 7 < capacity * 10 { size *= 2 }
    slots = [Slot](repeating: Slot(pair: Self.empty, rank: 0, id: 0), count: size)
  }

  @inline(__always)
  private static func key(_ a: Int32, _ b: Int32) -> UInt64 { UInt64(UInt32(bitPattern: a)) << 32 | UInt64(UInt32(bitPattern: b)) }

  @inline(__always)
  private func find(_ pair: UInt64) -> Int {
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: (pair &* 0x9E37_79B9_7F4A_7C15) >> 24) & mask
    while slots[slot].pair != pair, slots[slot].pair != Self.empty { slot = (slot + 1) & mask }
    return slot
  }

  /// A pair that is there already gets the new rank.
  mutating func insert(_ a: Int32, _ b: Int32, rank: Int, id: Int32) {
    if (count + 1) * 10 > slots.count * 8 {
      let old = slots
      slots = [Slot](repeating: Slot(pair: Self.empty, rank: 0, id: 0), count: old.count * 2)
      for slot in old where slot.pair != Self.empty { slots[find(slot.pair)] = slot }
    }
    let slot = find(Self.key(a, b))
    if slots[slot].pair == Self.empty { count += 1 }
    slots[slot] = Slot(pair: Self.key(a, b), rank: UInt32(truncatingIfNeeded: rank), id: id)
  }

  /// Rank and result of a pair; the rank is `UInt32.max` for pairs that do not merge.
  @inline(__always)
  subscript(a: Int32, b: Int32) -> (rank: UInt32, id: Int32) {
    let slot = slots[find(Self.key(a, b))]
    return slot.pair == Self.empty ? (.max, 0) : (slot.rank, slot.id)
  }
}
