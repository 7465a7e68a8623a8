/// The tokens of a vocabulary: bytes by id and id by bytes, in a few flat arrays.
struct TokenTable: Sendable {
  /// The largest id that a file may give; keeps a hostile one from reserving all memory.
  static let idLimit = (1 << 24) - 1

  private var bytes: [UInt8] = []
  /// Per entry: where its bytes start; one more at the end.
  private var starts: [Int32] = [0]
  private var ids: [Int32] = []
  /// The entry of each id, -1 for none.
  private var entryOfID: [Int32] = []
  /// Open addressing: entry per slot, -1 for empty.
  private var slots: [Int32] = [Int32](repeating: -1, count: 16)
  /// Number of different tokens.
  private(set) var count = 0

  init() {}

  mutating func reserve(tokens: Int, bytes total: Int) {
    bytes.reserveCapacity(total)
    starts.reserveCapacity(tokens + 1)
    ids.reserveCapacity(tokens)
    entryOfID.reserveCapacity(tokens)
    grow(to: tokens)
  }

  /// One more than the largest id.
  var idCount: Int { entryOfID.count }

  /// Adds a token; one that is there already gets the new id.
  mutating func insert(_ token: Bytes, id: Int) {
    if (count + 1) * 10 > slots.count * 6 { grow(to: count * 2) }
    let slot = find(token)
    let entry: Int
    if slots[slot] >= 0 {
      entry = Int(slots[slot])
      ids[entry] = Int32(id)
    } else {
      entry = ids.count
      slots[slot] = Int32(entry)
      bytes.append(contentsOf: token)
      starts.append(Int32(bytes.count))
      ids.append(Int32(id))
      count += 1
    }
    while entryOfID.count <= id { entryOfID.append(-1) }
    entryOfID[id] = Int32(entry)
  }

  mutating func insert(_ token: [UInt8], id: Int) {
    token.withUnsafeBufferPointer { insert($0, id: id) }
  }

  private mutating func grow(to tokens: Int) {
    var capacity = 16
    while capacity * 6 < (tokens + 1) * 10 { capacity *= 2 }
    guard capacity > slots.count else { return }
    slots = [Int32](repeating: -1, count: capacity)
    for entry in ids.indices {
      var slot = bytes.withUnsafeBufferPointer { all in
        Int(truncatingIfNeeded: hash(Bytes(rebasing: all[Int(starts[entry])..<Int(starts[entry + 1])]))) & (capacity - 1)
      }
      while slots[slot] >= 0 { slot = (slot + 1) & (capacity - 1) }
      slots[slot] = Int32(entry)
    }
  }

  /// The slot that holds the token or is free for it.
  @inline(__always)
  private func find(_ token: Bytes) -> Int {
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: hash(token)) & mask
    while true {
      let entry = Int(slots[slot])
      if entry < 0 || equals(entry, token) { return slot }
      slot = (slot + 1) & mask
    }
  }

  @inline(__always)
  private func equals(_ entry: Int, _ token: Bytes) -> Bool {
    let start = Int(starts[entry])
    guard Int(starts[entry + 1]) - start == token.count else { return false }
    for i in 0..<token.count where bytes[start + i] != token[i] { return false }
    return true
  }

  /// The id of a token.
  @inline(__always)
  func id(_ token: Bytes) -> Int32? {
    let entry = slots[find(token)]
    return entry < 0 ? nil : ids[Int(entry)]
  }

  func id(_ token: [UInt8]) -> Int32? { token.withUnsafeBufferPointer { id($0) } }

  func id(_ token: String) -> Int32? { id(Array(token.utf8)) }

  /// The bytes of the token with this id; nil for an id without token.
  func token(_ id: Int) -> ArraySlice<UInt8>? {
    guard id >= 0, id < entryOfID.count, entryOfID[id] >= 0 else { return nil }
    let entry = Int(entryOfID[id])
    return bytes[Int(starts[entry])..<Int(starts[entry + 1])]
  }
}

/// A fast hash of a few bytes, 8 at a time.
@inline(__always)
func hash(_ bytes: Bytes) -> UInt64 {
  var state = 0x9E37_79B9_7F4A_7C15 ^ UInt64(bytes.count)
  guard let base = UnsafeRawPointer(bytes.baseAddress) else { return state }
  var at = 0
  func mix(_ word: UInt64) {
    let (high, low) = (state ^ word).multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
    state = high ^ low
  }
  while at + 8 <= bytes.count {
    mix(base.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    at += 8
  }
  var tail: UInt64 = 0
  if at + 4 <= bytes.count {
    tail = UInt64(base.loadUnaligned(fromByteOffset: at, as: UInt32.self))
    at += 4
  }
  while at < bytes.count {
    tail = tail << 8 | UInt64(bytes[at])
    at += 1
  }
  mix(tail)
  return state ^ state >> 29
}
