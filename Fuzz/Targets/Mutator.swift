import Foundation

/// libFuzzer's own mutation.
@_silgen_name("LLVMFuzzerMutate")
private func plainMutation(_ data: UnsafeMutablePointer<UInt8>, _ count: Int, _ most: Int) -> Int

private let name = ProcessInfo.processInfo.environment["SWIFTLET_FUZZ"] ?? ""

/// Called by libFuzzer to change an input in place. Half of the changes to files of tensors keep the structure and change one thing that it
/// says: a count, a length, a size, a type, a place, or how often a record stands there. Bytes changed blindly seldom get past the header.
@_cdecl("LLVMFuzzerCustomMutator")
public func mutate(_ data: UnsafeMutablePointer<UInt8>?, _ count: Int, _ most: Int, _ seed: CUnsignedInt) -> Int {
  guard let data else { return 0 }
  var dice = Dice(state: UInt64(seed))
  guard dice.roll(2) == 0 else { return plainMutation(data, count, most) }
  let input = Array(UnsafeBufferPointer(start: data, count: count))
  let changed: [UInt8]? =
    switch name {
    case "gguf": GGUFMutation(input).changed(&dice)
    case "safetensors": SafetensorsMutation(input).changed(&dice)
    default: nil
    }
  guard let changed, changed.count <= most else { return plainMutation(data, count, most) }
  data.update(from: changed, count: changed.count)
  return changed.count
}

/// Random numbers that the seed alone determines (SplitMix64).
struct Dice {
  var state: UInt64

  mutating func word() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }

  mutating func roll(_ sides: Int) -> Int { Int(word() % UInt64(sides)) }

  /// A number that a reader may trip over, from what stands there and others that stand elsewhere.
  mutating func number(from old: UInt64, _ others: [UInt64]) -> UInt64 {
    switch roll(8) {
    case 0: return old &+ UInt64(1 + roll(8))
    case 1: return old &- UInt64(1 + roll(8))
    case 2: return old &* 2
    case 3: return old / 2
    case 4: return 1 << UInt64(roll(64))
    case 5: return UInt64.max &- UInt64(roll(3))
    case 6: return others.isEmpty ? 0 : others[roll(others.count)]
    default: return UInt64(roll(48))
    }
  }
}
