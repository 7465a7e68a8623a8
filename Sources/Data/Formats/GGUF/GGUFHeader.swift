/// A tensor of a GGUF file: its name, type, sizes and place.
public struct GGUFTensor: Hashable, Sendable {
  /// The name.
  public let name: String
  /// How its numbers are stored.
  public let type: GGUFType
  /// Sizes of the axes, the fastest first: a matrix [rows, columns] has [columns, rows].
  public let dimensions: [Int]
  /// Its bytes in the file.
  public let range: Range<Int>

  /// Sizes of the axes as tensors have them, the slowest first.
  public var shape: [Int] { dimensions.reversed() }
}

/// The header of a GGUF file, versions 2 and 3, little-endian: metadata and the places of tensors, all checked against the file's size.
///
/// Source of the format: ggml's `docs/gguf.md`. Memory is bounded by the header's own bytes.
public struct GGUFHeader: Sendable {
  /// Most keys in a file.
  public static let keyLimit = 1 << 16
  /// Most tensors in a file.
  public static let tensorLimit = 1 << 20
  static let nameLimit = 1 << 16

  /// 2 or 3.
  public let version: Int
  /// Keys and values in the order of the file.
  public let metadata: [(key: String, value: GGUFValue)]
  /// Tensors in the order of the file.
  public let tensors: [GGUFTensor]
  /// Tensors start at multiples of it.
  public let alignment: Int

  /// Reads and checks a whole file's bytes, of which only the header is touched.
  /// - Throws: `GGUFError` that names the place.
  public init(parsing bytes: UnsafeRawBufferPointer, file: String) throws(GGUFError) {
    var cursor = GGUFCursor(bytes, file: file)
    let magic = try cursor.take(4, "magic")
    guard magic.elementsEqual("GGUF".utf8) else { throw cursor.error("magic", "\"GGUF\" is wanted, found bytes \(Array(magic))") }
    version = try Self.version(&cursor)
    let tensorCount = try cursor.length("tensor count", limit: min(Self.tensorLimit, cursor.left / 24), of: "tensors")
    let keyCount = try cursor.length("key count", limit: min(Self.keyLimit, cursor.left / 13), of: "keys")
    metadata = try Self.metadata(&cursor, keyCount)
    alignment = try Self.alignment(metadata, cursor)
    tensors = try Self.tensors(&cursor, tensorCount, alignment, fileSize: bytes.count)
  }

  private static func version(_ cursor: inout GGUFCursor) throws(GGUFError) -> Int {
    let version = try cursor.integer("version", UInt32.self)
    if version.byteSwapped == 2 || version.byteSwapped == 3 {
      throw cursor.error("version", "the file is big-endian; convert it to little-endian")
    }
    guard version == 2 || version == 3 else { throw cursor.error("version", "2 or 3 is wanted, found \(version)") }
    return Int(version)
  }

  private static func metadata(_ cursor: inout GGUFCursor, _ count: Int) throws(GGUFError) -> [(key: String, value: GGUFValue)] {
    var pairs: [(key: String, value: GGUFValue)] = []
    var seen = Set<ExactString>()
    for index in 0..<count {
      let key = try cursor.string("key \(index)", limit: nameLimit)
      let place = "key \"\(key.prefix(100))\""
      guard !key.isEmpty else { throw cursor.error("key \(index)", "a name is wanted, found none") }
      guard seen.insert(ExactString(key)).inserted else { throw cursor.error(place, "stands twice") }
      let kind = try cursor.kind(place)
      pairs.append((key, try cursor.value(kind, place, depth: 0)))
    }
    return pairs
  }

  private static func alignment(_ metadata: [(key: String, value: GGUFValue)], _ cursor: GGUFCursor) throws(GGUFError) -> Int {
    guard let value = metadata.first(where: { $0.key == "general.alignment" })?.value else { return 32 }
    guard case .uint32(let alignment) = value, (8...(1 << 20)).contains(alignment), alignment & (alignment - 1) == 0 else {
      throw cursor.error("key \"general.alignment\"", "a power of two from 8 to 1048576 (uint32) is wanted, found \(value)")
    }
    return Int(alignment)
  }

  private static func tensors(
    _ cursor: inout GGUFCursor, _ count: Int, _ alignment: Int, fileSize: Int
  ) throws(GGUFError) -> [GGUFTensor] {
    var found: [(name: String, type: GGUFType, dimensions: [Int], offset: Int, bytes: Int)] = []
    var seen = Set<ExactString>()
    for index in 0..<count {
      let name = try cursor.string("tensor \(index)", limit: nameLimit)
      let place = "tensor \"\(name.prefix(100))\""
      guard !name.isEmpty else { throw cursor.error("tensor \(index)", "a name is wanted, found none") }
      guard seen.insert(ExactString(name)).inserted else { throw cursor.error(place, "stands twice") }
      let dimensions = try dimensions(&cursor, place)
      let number = try cursor.integer(place, UInt32.self)
      guard let type = GGUFType(rawValue: number) else { throw cursor.error(place, "number type \(number) is unknown") }
      guard let bytes = type.byteCount(of: dimensions) else {
        throw cursor.error(place, "sizes \(dimensions) of \(type): too large, or rows are no multiple of \(type.block.numbers)")
      }
      let offset = try cursor.integer(place, UInt64.self)
      guard offset % UInt64(alignment) == 0 else {
        throw cursor.error(place, "offset \(offset) is no multiple of the alignment \(alignment)")
      }
      guard offset <= UInt64(fileSize), bytes <= fileSize else {
        throw cursor.error(place, "\(bytes) bytes at offset \(offset), the file has \(fileSize): a download cut short?")
      }
      found.append((name, type, dimensions, Int(offset), bytes))
    }
    // Both terms are at most the file's size, so nothing overflows.
    let start = (cursor.position + alignment - 1) / alignment * alignment
    let tensors = found.map { GGUFTensor(name: $0, type: $1, dimensions: $2, range: start + $3..<start + $3 + $4) }
    try check(tensors, cursor, fileSize)
    return tensors
  }

  private static func dimensions(_ cursor: inout GGUFCursor, _ place: String) throws(GGUFError) -> [Int] {
    let rank = try cursor.integer(place, UInt32.self)
    guard rank <= 4 else { throw cursor.error(place, "\(rank) axes; at most 4 are possible") }
    var dimensions: [Int] = []
    for _ in 0..<rank {
      let size = try cursor.integer(place, UInt64.self)
      guard let size = Int(exactly: size) else { throw cursor.error(place, "size \(size) is too large") }
      dimensions.append(size)
    }
    return dimensions
  }

  private static func check(_ tensors: [GGUFTensor], _ cursor: GGUFCursor, _ fileSize: Int) throws(GGUFError) {
    var end = 0
    for tensor in tensors.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) where !tensor.range.isEmpty {
      let place = "tensor \"\(tensor.name.prefix(100))\""
      guard tensor.range.upperBound <= fileSize else {
        throw cursor.error(place, "ends at byte \(tensor.range.upperBound), the file has \(fileSize): a download cut short?")
      }
      guard tensor.range.lowerBound >= end else {
        throw cursor.error(place, "starts at byte \(tensor.range.lowerBound), inside of another tensor")
      }
      end = tensor.range.upperBound
    }
  }
}
