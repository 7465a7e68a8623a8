/// Classes as older tables have them: the crates `unicode_categories` (Unicode 8) and `unicode-normalization-alignments` (Unicode 9),
/// on which parts of Hugging Face `tokenizers` rest.
enum OldUnicode {
  /// Marks of Unicode 9. Code points that changed their category since are named one by one, here and below.
  static let marks = ScalarSet(
    assigned(UnicodeTables.marks, in: 9).union(ScalarRanges([0x1CF2...0x1CF3])).subtracting(ScalarRanges(scalars: [0x111C9])))
  /// Nonspacing marks of Unicode 8.
  static let nonspacingMarks = ScalarSet(
    assigned(UnicodeTables.category { $0 == .nonspacingMark }, in: 8).union(ScalarRanges(scalars: [0x1734, 0x1171E]))
      .subtracting(ScalarRanges(scalars: [0x1885, 0x1886, 0xA9BD, 0x111C9])))
  /// Punctuation of Unicode 8, and every ASCII character that `is_ascii_punctuation` names.
  static let punctuation = ScalarSet(
    assigned(UnicodeTables.punctuation, in: 8)
      .union(ScalarRanges([0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E, 0x166D...0x166D, 0x111C9...0x111C9])))
  /// Control, format and private use characters of Unicode 8.
  static let others = ScalarSet(assigned(UnicodeTables.category { $0 == .control || $0 == .format || $0 == .privateUse }, in: 8))

  static func assigned(_ set: ScalarRanges, in version: Int) -> ScalarRanges {
    var result: [ClosedRange<UInt32>] = []
    for value in set.ranges.lazy.flatMap({ $0 }) {
      guard let scalar = Unicode.Scalar(value) else { continue }
      if value >= 0xF0000 || UnicodeTables.known(scalar, in: version) { result.append(value...value) }
    }
    return ScalarRanges(result)
  }
}
