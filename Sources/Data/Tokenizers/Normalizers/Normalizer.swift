/// A step that rewrites a text before it is split. Named as in `tokenizer.json`.
indirect enum Normalizer: Sendable {
  case form(NormalizationForm)
  case lowercase
  case strip(left: Bool, right: Bool)
  case stripAccents
  case replace(TextPattern, with: [UInt8])
  case prepend([UInt8])
  case charsMap(CharsMap)
  case nmt
  case bert(cleanText: Bool, chinese: Bool, stripAccents: Bool, lowercase: Bool)
  case byteLevel
  case sequence([Normalizer])

  func apply(_ text: inout NormalizedText) throws {
    switch self {
    case .form(let form): text.normalize(form)
    case .lowercase: text.lowercase()
    case .strip(let left, let right): text.strip(left: left, right: right)
    case .stripAccents: text.remove { OldUnicode.marks.contains($0) }
    case .replace(let pattern, let content): text.replace(try pattern.matches(in: text.bytes), with: content)
    case .prepend(let prefix): text.prepend(prefix)
    case .charsMap(let map): text.apply(map)
    case .nmt: text.nmt()
    case .bert(let cleanText, let chinese, let stripAccents, let lowercase):
      if cleanText { text.cleanForBert() }
      if chinese { text.isolateChinese() }
      if stripAccents {
        text.normalize(.nfd)
        text.remove { OldUnicode.nonspacingMarks.contains($0) }
      }
      if lowercase { text.lowercase() }
    case .byteLevel: text.toByteAlphabet()
    case .sequence(let steps): for step in steps { try step.apply(&text) }
    }
  }

  /// Whether the step can take away what stands first, so that the text no longer starts where the original does.
  var mayRemove: Bool {
    switch self {
    case .form, .lowercase, .prepend, .byteLevel: false
    case .replace(_, let content): content.isEmpty
    case .sequence(let steps): steps.contains(where: \.mayRemove)
    case .strip, .stripAccents, .charsMap, .nmt, .bert: true
    }
  }
}

extension NormalizedText {
  mutating func remove(_ unwanted: (UInt32) -> Bool) {
    guard bytes.contains(where: { $0 >= 0x80 }) || bytes.contains(where: { unwanted(UInt32($0)) }) else { return }
    expand { c, write in if !unwanted(c) { write(c) } }
  }

  mutating func lowercase() {
    expand { c, write in
      if c < 0x80 {
        write(c >= 0x41 && c <= 0x5A ? c + 32 : c)
      } else {
        Unicode.Scalar(c)?.properties.lowercaseMapping.unicodeScalars.forEach { write($0.value) }
      }
    }
  }

  mutating func strip(left: Bool, right: Bool) {
    var range = 0..<bytes.count
    bytes.withUnsafeBufferPointer { text in
      var start = 0
      var end = text.count
      while left, start < end {
        let (c, next) = text.scalar(at: start)
        guard UnicodeTables.whitespaceSet.contains(c) else { break }
        start = next
      }
      while right, end > start {
        let previous = text.before(end, low: start)
        guard UnicodeTables.whitespaceSet.contains(text.scalar(at: previous).value) else { break }
        end = previous
      }
      range = start..<end
    }
    keep(range)
  }

  mutating func nmt() {
    expand { c, write in
      switch c {
      case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: break
      case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD: write(0x20)
      default: write(c)
      }
    }
  }

  mutating func cleanForBert() {
    expand { c, write in
      if c == 9 || c == 10 || c == 13 {
        write(0x20)
      } else if c != 0, c != 0xFFFD, !OldUnicode.others.contains(c) {
        write(UnicodeTables.whitespaceSet.contains(c) ? 0x20 : c)
      }
    }
  }

  mutating func isolateChinese() {
    expand { c, write in
      switch c {
      case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F, 0x2B920...0x2CEAF,
        0xF900...0xFAFF, 0x2F800...0x2FA1F:
        write(0x20)
        write(c)
        write(0x20)
      default: write(c)
      }
    }
  }

  mutating func toByteAlphabet() {
    expand { c, write in
      var bytes: [UInt8] = []
      bytes.append(scalar: c)
      for byte in bytes { write(ByteAlphabet.scalars[Int(byte)]) }
    }
  }
}
