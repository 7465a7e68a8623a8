extension SentencePieceTokenizer {
  /// The text of ids; control pieces are silent, as in the library.
  func decode(_ ids: [Int], skipSpecial: Bool) -> String {
    var text: [UInt8] = []
    var part: [Int] = []
    for id in ids {
      if let token = added.token(id) {
        decode(part, into: &text)
        part = []
        if !skipSpecial || !token.special { text += token.content }
      } else if file.pieces.indices.contains(id) {
        part.append(id)
      }
    }
    decode(part, into: &text)
    return String(decoding: text, as: UTF8.self)
  }

  private func decode(_ ids: [Int], into text: inout [UInt8]) {
    let start = text.count
    var bytes: [UInt8] = []
    var expectsSpace = true
    var spaceSeen = false
    for id in ids {
      let piece = file.pieces[id]
      if piece.type == .byte {
        if let byte = UInt8(String(decoding: piece.text.dropFirst(3).prefix(2), as: UTF8.self), radix: 16) { bytes.append(byte) }
        continue
      }
      Self.flush(&bytes, into: &text)
      if spaceSeen || text.count > start { expectsSpace = false }
      (spaceSeen) = decode(piece, expectsSpace: expectsSpace, into: &text)
    }
    Self.flush(&bytes, into: &text)
  }

  /// Whether the piece's leading mark was the one that the dummy prefix put there.
  private func decode(_ piece: SentencePieceFile.Piece, expectsSpace: Bool, into text: inout [UInt8]) -> Bool {
    switch piece.type {
    case .control: return false
    case .unknown:
      text += file.unknownSurface
      return false
    default: break
    }
    var rest = piece.text[...]
    var hasSpace = false
    if expectsSpace, file.normalization.addsPrefix || file.normalization.removesExtraSpaces, rest.starts(with: BPEModel.mark) {
      rest = rest.dropFirst(3)
      // With extra spaces removed, all leading ones go.
      hasSpace = !file.normalization.removesExtraSpaces
    }
    text += TokenDecoder.replacing(Array(rest), BPEModel.mark, [0x20])
    return hasSpace
  }

  /// Writes bytes character by character; each byte that belongs to none becomes U+FFFD.
  private static func flush(_ bytes: inout [UInt8], into text: inout [UInt8]) {
    var at = 0
    while at < bytes.count {
      let width = Bytes.width(bytes[at])
      if at + width <= bytes.count, String(validating: bytes[at..<at + width], as: UTF8.self) != nil {
        text += bytes[at..<at + width]
        at += width
      } else {
        text += [0xEF, 0xBF, 0xBD]
        at += 1
      }
    }
    bytes = []
  }
}
