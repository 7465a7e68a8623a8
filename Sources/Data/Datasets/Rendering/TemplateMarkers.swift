/// Proves that a template's special tokens are special tokens of the tokenizer too.
enum TemplateMarkers {
  /// Markers that the template's source writes, that appear in `text`, and that the tokenizer cuts into several tokens.
  static func unknown(in source: String, text: String, codec: TextCodec) -> [String] {
    found(in: source).filter { marker in
      guard text.utf8.count >= marker.utf8.count, contains(Array(text.utf8), Array(marker.utf8)) else { return false }
      guard let ids = try? codec.encode(marker, false).ids else { return true }
      return ids.count > 1
    }
  }

  /// `<|name|>` and the turn markers of Gemma, each once, in order. `<think>` and `[INST]` are plain text in many models.
  static func found(in source: String) -> [String] {
    let bytes = Array(source.utf8)
    var markers: [String] = []
    func add(_ marker: String) { if !markers.contains(marker) { markers.append(marker) } }
    var at = 0
    while at + 1 < bytes.count {
      if bytes[at] == UInt8(ascii: "<"), bytes[at + 1] == UInt8(ascii: "|") {
        let name = bytes[(at + 2)...].prefix { isName($0) }
        let end = at + 2 + name.count
        if !name.isEmpty, end + 1 < bytes.count, bytes[end] == UInt8(ascii: "|"), bytes[end + 1] == UInt8(ascii: ">") {
          add(String(decoding: bytes[at...(end + 1)], as: UTF8.self))
        }
      }
      at += 1
    }
    for marker in ["<start_of_turn>", "<end_of_turn>"] where contains(bytes, Array(marker.utf8)) { add(marker) }
    return markers
  }

  private static func isName(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "_"), UInt8(ascii: "-"):
      true
    default: false
    }
  }

  private static func contains(_ text: [UInt8], _ part: [UInt8]) -> Bool {
    guard let first = part.first, text.count >= part.count else { return false }
    return (0...(text.count - part.count)).contains { text[$0] == first && text[$0..<($0 + part.count)].elementsEqual(part) }
  }
}
