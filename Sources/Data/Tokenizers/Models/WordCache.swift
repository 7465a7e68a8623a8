/// Words that were tokenized before, with their ids. Owned by one encoding at a time.
struct WordCache {
  static let wordLimit = 64
  private static let capacity = 1 << 16
  private static let slotCount = 1 << 17

  private struct Entry {
    var hash: UInt64
    var key: Int32
    var length: Int32
    var ids: Int32
    var count: Int32
  }

  private var slots = [Int32](repeating: -1, count: WordCache.slotCount)
  private var entries: [Entry] = []
  private var keys: [UInt8] = []
  private var ids: [Int32] = []

  /// Appends the ids of a known word; false where it is not known.
  @inline(__always)
  func copy(_ word: Bytes, _ hash: UInt64, to run: inout TokenRun) -> Bool {
    var slot = Int(truncatingIfNeeded: hash) & (Self.slotCount - 1)
    while true {
      let index = Int(slots[slot])
      if index < 0 { return false }
      let entry = entries[index]
      if entry.hash == hash, Int(entry.length) == word.count, matches(Int(entry.key), word) {
        if entry.count == 1 {
          run.append(ids[Int(entry.ids)], 0, 0)
        } else {
          run.append(ids[Int(entry.ids)..<Int(entry.ids + entry.count)])
        }
        return true
      }
      slot = (slot + 1) & (Self.slotCount - 1)
    }
  }

  @inline(__always)
  private func matches(_ key: Int, _ word: Bytes) -> Bool {
    keys.withUnsafeBytes { keys in
      guard let a = keys.baseAddress, let b = UnsafeRawPointer(word.baseAddress) else { return word.isEmpty }
      var at = 0
      while at + 8 <= word.count {
        if a.loadUnaligned(fromByteOffset: key + at, as: UInt64.self) != b.loadUnaligned(fromByteOffset: at, as: UInt64.self) {
          return false
        }
        at += 8
      }
      while at < word.count {
        if keys[key + at] != word[at] { return false }
        at += 1
      }
      return true
    }
  }

  /// Remembers a word. A full cache starts afresh: texts change their subject.
  mutating func insert(_ word: Bytes, _ hash: UInt64, _ tokens: ArraySlice<Int32>) {
    if entries.count >= Self.capacity {
      for index in slots.indices { slots[index] = -1 }
      entries.removeAll(keepingCapacity: true)
      keys.removeAll(keepingCapacity: true)
      ids.removeAll(keepingCapacity: true)
    }
    var slot = Int(truncatingIfNeeded: hash) & (Self.slotCount - 1)
    while slots[slot] >= 0 { slot = (slot + 1) & (Self.slotCount - 1) }
    slots[slot] = Int32(entries.count)
    entries.append(
      Entry(hash: hash, key: Int32(keys.count), length: Int32(word.count), ids: Int32(ids.count), count: Int32(tokens.count)))
    keys.append(contentsOf: word)
    ids.append(contentsOf: tokens)
  }
}

/// Memory that encodings reuse.
struct Workspace {
  var cache = WordCache()
  var merger = Merger()
  var viterbi = ViterbiPath()
}
