import Foundation
import SwiftletFormats
import Testing

/// Files that no honest program writes, each refused by an error that names the place, without memory for what they promise.
@Suite struct HostileGGUFTests {
  private typealias B = GGUFBuilder
  private typealias Case = (name: String, bytes: [UInt8], part: String)

  private static let billion: UInt64 = 1_000_000_000
  private static let huge = UInt64(Int64.max)

  private var headers: [Case] {
    [
      ("empty", [], "magic: 4 bytes are wanted at byte 0"), ("three bytes", Array("GGU".utf8), "magic: 4 bytes"),
      ("another magic", B(magic: "GGML").bytes, "magic: \"GGUF\" is wanted"), ("lower case", B(magic: "gguf").bytes, "magic"),
      ("safetensors", [16, 0, 0, 0, 0, 0, 0, 0, 0x7B], "magic"), ("magic alone", Array("GGUF".utf8), "version: 4 bytes"),
      ("version 0", B(version: 0).bytes, "version: 2 or 3 is wanted, found 0"),
      ("version 1", B(version: 1).bytes, "version: 2 or 3"), ("version 4", B(version: 4).bytes, "found 4"),
      ("version 2^32-1", B(version: .max).bytes, "version: 2 or 3"), ("big-endian", B(version: 0x0300_0000).bytes, "big-endian"),
      ("big-endian 2", B(version: 0x0200_0000).bytes, "big-endian"),
      ("cut in the version", Array(B().bytes.prefix(6)), "version: 4 bytes are wanted at byte 4, the file has 2 more"),
      ("cut before the counts", Array(B().bytes.prefix(8)), "tensor count: 8 bytes"),
      ("cut in the tensor count", Array(B().bytes.prefix(12)), "tensor count"),
      ("cut before the key count", Array(B().bytes.prefix(16)), "key count: 8 bytes"),
      ("a billion keys", B(keys: Self.billion).bytes, "key count: 1000000000 keys; at most 0"),
      ("a billion keys and some bytes", B(keys: Self.billion).data(1000).bytes, "key count: 1000000000 keys; at most"),
      ("2^64-1 keys", B(keys: .max).bytes, "key count: 18446744073709551615"), ("2^63 keys", B(keys: 1 << 63).bytes, "key count"),
      ("a billion tensors", B(tensors: Self.billion).bytes, "tensor count: 1000000000 tensors; at most 0"),
      ("2^64-1 tensors", B(tensors: .max).bytes, "tensor count"), ("one key promised", B(keys: 1).bytes, "key count: 1 keys; at most 0"),
      ("one tensor promised", B(tensors: 1).bytes, "tensor count: 1 tensors; at most 0"),
    ]
  }

  private var keys: [Case] {
    let one = B(keys: 1)
    func cut(_ kind: UInt32, _ value: [UInt8]) -> [UInt8] { one.key("a", kind, value).bytes }
    func long(_ length: UInt64) -> [UInt8] {
      var builder = one
      builder.put(length)
      return builder.bytes + [UInt8](repeating: 0x61, count: 20)
    }
    return [
      ("key of 2^64-1 bytes", long(.max), "key 0: 18446744073709551615 bytes of text"),
      ("key of 2^63 bytes", long(1 << 63), "key 0: 9223372036854775808"), ("key longer than the file", long(21), "key 0: 21 bytes of text"),
      ("key of 65537 bytes", one.key(String(repeating: "k", count: 65537), 0, [1]).bytes, "key 0: 65537 bytes of text"),
      ("no name", one.key("", 0, [1]).bytes, "key 0"), ("not UTF-8", one.bytes + B.bytes(UInt64(1)) + [0xFF, 0, 0, 0, 0, 1, 1], "UTF-8"),
      ("the same key twice", B(keys: 2).key("a", 0, [1]).key("a", 0, [1]).bytes, "key \"a\": stands twice"),
      ("type 13", cut(13, [0]), "key \"a\": value type 13 is unknown"), ("type 2^32-1", cut(.max, [0]), "value type 4294967295"),
      ("no type", one.bytes + B.string("abcdefgh"), "key \"abcdefgh\": 4 bytes"),
      ("uint8 cut", cut(0, []), "key"), ("uint16 cut", cut(2, [1]), "key \"a\": 2 bytes"),
      ("int32 cut", cut(5, [1, 2, 3]), "key \"a\": 4 bytes"), ("float32 cut", cut(6, [1]), "key \"a\": 4 bytes"),
      ("uint64 cut", cut(10, [1, 2, 3, 4]), "key \"a\": 8 bytes"), ("float64 cut", cut(12, [1, 2]), "key \"a\": 8 bytes"),
      ("bool of 2", cut(7, [2]), "key \"a\": a Boolean is 0 or 1, found 2"), ("bool of 255", cut(7, [255]), "found 255"),
      ("text cut", cut(8, B.bytes(UInt64(5)) + [1, 2]), "key \"a\": 5 bytes of text; at most 2"),
      ("text of 2^64-1", cut(8, B.bytes(UInt64.max)), "key \"a\": 18446744073709551615 bytes"),
      ("text that is not UTF-8", cut(8, B.bytes(UInt64(2)) + [0xC3, 0x28]), "text in UTF-8"),
      ("text length cut", cut(8, [1, 0, 0]), "key \"a\": 8 bytes"),
      ("array without type", cut(9, [1]), "key \"a\": 4 bytes"), ("array without count", cut(9, B.bytes(UInt32(0))), "key \"a\": 8 bytes"),
      ("array of type 99", cut(9, B.array(99, 1, [0])), "value type 99"),
      ("array of a billion bytes", cut(9, B.array(0, Self.billion, [1])), "1000000000 elements; at most 1"),
      ("array of a billion numbers", cut(9, B.array(12, Self.billion)), "1000000000 elements; at most 0"),
      ("array of 2^61 numbers", cut(9, B.array(10, 1 << 61)), "elements; at most 0"),
      ("array of 2^64-1 texts", cut(9, B.array(8, .max)), "elements; at most 0"),
      ("array of 3 texts with one", cut(9, B.array(8, 3, B.string("abcdefghijklmnop"))), "key \"a\""),
      ("text of an array cut", cut(9, B.array(8, 1, B.bytes(UInt64(100)))), "100 bytes of text"),
      ("array of bad Booleans", cut(9, B.array(7, 3, [0, 1, 2])), "a Boolean is 0 or 1, found 2"),
      ("array of a billion arrays", cut(9, B.array(9, Self.billion)), "elements; at most 0"),
      ("arrays nested deep", cut(9, Self.nested(20)), "arrays nested deeper than 4"),
      ("arrays nested very deep", cut(9, Self.nested(100_000)), "arrays nested deeper than 4"),
    ]
  }

  private static func nested(_ depth: Int) -> [UInt8] {
    (0..<depth).flatMap { _ in B.array(9, 1) } + B.array(0, 1, [7])
  }

  private var alignments: [Case] {
    func aligned(_ kind: UInt32, _ value: [UInt8]) -> [UInt8] {
      B(tensors: 1, keys: 1).key("general.alignment", kind, value).tensor("t", [8]).data(64).bytes
    }
    let wanted = "key \"general.alignment\": a power of two from 8 to 1048576"
    return [
      ("alignment 0", aligned(4, B.bytes(UInt32(0))), wanted), ("alignment 1", aligned(4, B.bytes(UInt32(1))), wanted),
      ("alignment 7", aligned(4, B.bytes(UInt32(7))), wanted), ("alignment 33", aligned(4, B.bytes(UInt32(33))), wanted),
      ("alignment 2^31", aligned(4, B.bytes(UInt32(1 << 31))), wanted), ("alignment 2^32-1", aligned(4, B.bytes(UInt32.max)), wanted),
      ("alignment of another type", aligned(10, B.bytes(UInt64(32))), wanted),
      ("alignment negative", aligned(5, B.bytes(Int32(-32))), wanted),
      ("alignment text", aligned(8, B.string("32")), wanted),
    ]
  }

  private var tensors: [Case] {
    let one = B(tensors: 1)
    func sizes(_ sizes: UInt64..., type: UInt32 = 0, offset: UInt64 = 0) -> [UInt8] {
      one.tensor("t", sizes, type: type, offset: offset).data(64).bytes
    }
    func two(_ first: UInt64, _ second: UInt64) -> [UInt8] {
      B(tensors: 2).tensor("a", [8], offset: first).tensor("b", [8], offset: second).data(128).bytes
    }
    return [
      ("no name", one.tensor("", [8]).data(64).bytes, "tensor 0: a name"),
      ("the same name twice", B(tensors: 2).tensor("t", [8]).tensor("t", [8], offset: 32).data(64).bytes, "tensor \"t\": stands twice"),
      ("five axes", one.tensor("t", [1, 1, 1, 1, 1]).data(64).bytes, "tensor \"t\": 5 axes"),
      ("2^32-1 axes", one.tensor("t", [1], rank: .max).data(64).bytes, "4294967295 axes"),
      ("axes that are not there", Array(one.tensor("t", [], rank: 4).bytes.prefix(48)), "tensor \"t\""),
      ("size 2^64-1", sizes(.max), "tensor \"t\": size 18446744073709551615 is too large"), ("size 2^63", sizes(1 << 63), "is too large"),
      ("size 2^63-1", sizes(Self.huge), "tensor \"t\": sizes"), ("product overflows", sizes(1 << 32, 1 << 32), "too large"),
      ("product of four overflows", sizes(1 << 16, 1 << 16, 1 << 16, 1 << 16), "too large"),
      ("bytes overflow", sizes(1 << 61, 2), "too large"), ("overflow hidden by 0", sizes(1 << 62, 4, 0), "too large"),
      ("type 4", sizes(8, type: 4), "number type 4 is unknown"), ("type 31", sizes(8, type: 31), "number type 31"),
      ("type 2^32-1", sizes(8, type: .max), "number type 4294967295"),
      ("rows of half a block", sizes(16, type: 8), "rows are no multiple of 32"),
      ("rows of a block and a half", sizes(384, type: 12), "rows are no multiple of 256"),
      ("one number of a block", sizes(1, type: 2), "rows are no multiple of 32"),
      ("offset 1", sizes(8, offset: 1), "offset 1 is no multiple of the alignment 32"),
      ("offset 2^64-1", sizes(8, offset: .max), "no multiple"), ("offset 2^64-32", sizes(8, offset: 0 &- 32), "bytes at offset"),
      ("offset 2^63", sizes(8, offset: 1 << 63), "32 bytes at offset 9223372036854775808"),
      ("offset past the end", sizes(8, offset: 1 << 20), "the file has"), ("offset at the end", sizes(8, offset: 64), "ends at byte"),
      ("larger than the file", sizes(1 << 20), "4194304 bytes at offset 0"), ("a little larger", sizes(17), "ends at byte"),
      ("the same bytes twice", two(0, 0), "tensor \"b\": starts at byte"),
      ("overlap", B(tensors: 2).tensor("a", [16]).tensor("b", [8], offset: 32).data(128).bytes, "inside of another tensor"),
      ("overlap backwards", B(tensors: 2).tensor("a", [8], offset: 32).tensor("b", [16], offset: 0).data(128).bytes, "inside of another"),
      ("no data", one.tensor("t", [8]).bytes, "tensor \"t\""), ("data cut", one.tensor("t", [8]).data(31).bytes, "ends at byte"),
      ("name not UTF-8", one.bytes + B.bytes(UInt64(1)) + [0xFF] + [UInt8](repeating: 0, count: 64), "UTF-8"),
      ("name of 2^63 bytes", one.bytes + B.bytes(UInt64(1) << 63) + [UInt8](repeating: 0, count: 64), "bytes of text"),
      ("second tensor missing", B(tensors: 2).tensor("a", [8]).data(4).bytes, "tensor"),
    ]
  }

  @Test func filesAreRefused() throws {
    let folder = try TemporaryFolder()
    let cases = headers + keys + alignments + tensors
    for (number, hostile) in cases.enumerated() {
      let path = try folder.write("\(number).gguf", hostile.bytes)
      let found = message { try GGUFFile(path) } ?? "accepted"
      #expect(found.contains(hostile.part) && found.contains(path), "\(hostile.name): \(found.prefix(300))")
    }
    #expect(cases.count >= 75)
  }

  /// Every prefix and every flipped byte of a right file is read or refused, never a trap.
  @Test func cutAndFlipped() throws {
    let right = B(tensors: 2, keys: 2).key("k", 9, B.array(8, 2, B.string("ab") + B.string("c"))).key("n", 6, B.bytes(UInt32(0x3F80_0000)))
      .tensor("a", [32, 2], type: 8).tensor("b", [4], offset: 96).data(128).bytes
    func parses(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { (try? GGUFHeader(parsing: $0, file: "x")) != nil } }
    #expect(parses(right))
    var accepted = 0
    for end in 0..<right.count where parses(Array(right.prefix(end))) { accepted += 1 }
    #expect(accepted < 20, "\(accepted) prefixes were taken for whole files")
    for place in right.indices {
      for bit in 0..<8 {
        var flipped = right
        flipped[place] ^= 1 << UInt8(bit)
        _ = parses(flipped)
      }
    }
  }
}
