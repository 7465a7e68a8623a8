import SwiftletFormats

/// Learns a byte-level BPE vocabulary (Sennrich et al., 2016, on bytes as GPT-2 does) from text and writes it as `tokenizer.json`.
///
/// Words are split as Qwen2's pattern splits ASCII: letters with one leading character, single digits, runs of punctuation.
struct BytePairTrainer {
  static let pattern =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

  private var counts: [[UInt8]: Int] = [:]

  mutating func add(_ text: String) {
    for word in Self.split(Array(text.utf8)) { counts[word, default: 0] += 1 }
  }

  static func split(_ bytes: [UInt8]) -> [[UInt8]] {
    func isLetter(_ b: UInt8) -> Bool { (65...90).contains(b) || (97...122).contains(b) }
    func isDigit(_ b: UInt8) -> Bool { (48...57).contains(b) }
    func isSpace(_ b: UInt8) -> Bool { b == 32 || (9...13).contains(b) }
    var words: [[UInt8]] = []
    var i = 0
    while i < bytes.count {
      var end = i
      if isDigit(bytes[i]) {
        end = i + 1
      } else if isLetter(bytes[i]) || (i + 1 < bytes.count && isLetter(bytes[i + 1])) {
        end = i + 1
        while end < bytes.count, isLetter(bytes[end]) { end += 1 }
      } else {
        if bytes[i] == 32, i + 1 < bytes.count, !isSpace(bytes[i + 1]), !isDigit(bytes[i + 1]) { end = i + 1 }
        let start = end
        while end < bytes.count, !isSpace(bytes[end]), !isLetter(bytes[end]), !isDigit(bytes[end]) { end += 1 }
        if end == start { end = i + 1 }
      }
      words.append(Array(bytes[i..<end]))
      i = end
    }
    return words
  }

  /// The most frequent pairs, merged one after the other until the vocabulary has `size` entries beside `special`. Ties go to the pair
  /// that sorts first, so that the result depends on the text alone.
  func train(size: Int, special: [String]) -> JSON {
    var words = counts.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { (pieces: $0.key.map { [$0] }, count: $0.value) }
    var vocabulary = (0...255).map { [UInt8($0)] }
    var merges: [([UInt8], [UInt8])] = []
    while vocabulary.count + special.count < size {
      guard let (left, right) = bestPair(words) else { break }
      merges.append((left, right))
      vocabulary.append(left + right)
      for index in words.indices { words[index].pieces = Self.merge(words[index].pieces, left, right) }
    }
    return Self.file(vocabulary, merges, special)
  }

  private func bestPair(_ words: [(pieces: [[UInt8]], count: Int)]) -> ([UInt8], [UInt8])? {
    struct Pair: Hashable { let left: [UInt8], right: [UInt8] }
    var pairs: [Pair: Int] = [:]
    for (pieces, count) in words {
      for (left, right) in zip(pieces, pieces.dropFirst()) { pairs[Pair(left: left, right: right), default: 0] += count }
    }
    let best = pairs.max { a, b in
      a.value != b.value ? a.value < b.value : (b.key.left + [0] + b.key.right).lexicographicallyPrecedes(a.key.left + [0] + a.key.right)
    }
    return best.flatMap { $0.value > 1 ? ($0.key.left, $0.key.right) : nil }
  }

  private static func merge(_ pieces: [[UInt8]], _ left: [UInt8], _ right: [UInt8]) -> [[UInt8]] {
    guard pieces.count > 1 else { return pieces }
    var merged: [[UInt8]] = []
    for piece in pieces {
      if piece == right, merged.last == left { merged[merged.count - 1] += right } else { merged.append(piece) }
    }
    return merged
  }

  /// GPT-2's printable stand-in for each byte.
  private static let byteCharacters: [Character] = {
    let printable = Array(33...126) + Array(161...172) + Array(174...255)
    var next: UInt32 = 256
    return (0...255).map { byte in
      if printable.contains(byte) { return Character(Unicode.Scalar(UInt8(byte))) }
      defer { next += 1 }
      return Character(Unicode.Scalar(next) ?? " ")
    }
  }()

  private static func text(_ bytes: [UInt8]) -> String { String(bytes.map { byteCharacters[Int($0)] }) }

  private static func file(_ vocabulary: [[UInt8]], _ merges: [([UInt8], [UInt8])], _ special: [String]) -> JSON {
    let ids = vocabulary.enumerated().map { (text($1), JSON.int($0)) }
    let added = special.enumerated().map { index, token in
      JSON.object(
        JSONObject([
          ("id", .int(vocabulary.count + index)), ("content", .string(token)), ("single_word", .bool(false)), ("lstrip", .bool(false)),
          ("rstrip", .bool(false)), ("normalized", .bool(false)), ("special", .bool(true)),
        ]))
    }
    let split = JSON.object(
      JSONObject([
        ("type", .string("Split")), ("pattern", .object(JSONObject([("Regex", .string(pattern))]))), ("behavior", .string("Isolated")),
        ("invert", .bool(false)),
      ]))
    let byteLevel = JSONObject([
      ("type", .string("ByteLevel")), ("add_prefix_space", .bool(false)), ("trim_offsets", .bool(false)), ("use_regex", .bool(false)),
    ])
    let model = JSONObject([
      ("type", .string("BPE")), ("dropout", .null), ("unk_token", .null), ("continuing_subword_prefix", .null),
      ("end_of_word_suffix", .null),
      ("fuse_unk", .bool(false)), ("byte_fallback", .bool(false)), ("ignore_merges", .bool(false)),
      ("vocab", .object(JSONObject(ids))), ("merges", .array(merges.map { .array([.string(text($0)), .string(text($1))]) })),
    ])
    return .object(
      JSONObject([
        ("version", .string("1.0")), ("truncation", .null), ("padding", .null), ("added_tokens", .array(added)), ("normalizer", .null),
        ("pre_tokenizer", .object(JSONObject([("type", .string("Sequence")), ("pretokenizers", .array([split, .object(byteLevel)]))]))),
        ("post_processor", .null), ("decoder", .object(byteLevel)), ("model", .object(model)),
      ]))
  }
}
