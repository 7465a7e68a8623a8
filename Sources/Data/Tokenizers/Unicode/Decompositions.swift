import Foundation

/// Canonical and compatibility decompositions, compositions and combining classes.
///
/// Read off the platform's normaliser at first use rather than stored here, and cut back to Unicode 9: that is the version of the
/// `unicode-normalization-alignments` crate, by which Hugging Face `tokenizers` normalises.
struct Decompositions: Sendable {
  static let version = 9
  static let shared = Decompositions()

  /// Full decompositions of scalars that have one; Hangul is computed.
  let canonical: [UInt32: [UInt32]]
  let compatible: [UInt32: [UInt32]]
  /// From a pair (first in the high half) to its composite.
  let composites: [UInt64: UInt32]
  /// Combining classes other than 0.
  private let classes: [UInt32: UInt8]
  private let marks: ScalarSet
  /// Scalars that each form leaves as they are wherever they stand: no decomposition, class 0, never the second part of a composite.
  let inertNFC: ScalarSet
  let inertNFD: ScalarSet
  let inertNFKC: ScalarSet
  let inertNFKD: ScalarSet

  private init() {
    var candidates: [UInt32] = []
    var classes: [UInt32: UInt8] = [:]
    let blocks: [ClosedRange<UInt32>] = [0xA0...0x33FF, 0xA000...0xABFF, 0xF900...0xFFFD, 0x10000...0x12FFF, 0x16000...0x2FFFF]
    for block in blocks {
      for value in block {
        guard let scalar = Unicode.Scalar(value), scalar.properties.age != nil, UnicodeTables.known(scalar, in: Self.version) else {
          continue
        }
        candidates.append(value)
        let order = scalar.properties.canonicalCombiningClass.rawValue
        if order != 0 { classes[value] = order }
      }
    }
    let canonical = Self.read(candidates) { $0.decomposedStringWithCanonicalMapping }
    let compatible = Self.read(candidates) { $0.decomposedStringWithCompatibilityMapping }
    let composites = Self.pairs(canonical)
    self.canonical = canonical
    self.compatible = compatible
    self.composites = composites
    self.classes = classes
    marks = ScalarSet(ScalarRanges(scalars: Array(classes.keys)))
    let seconds = composites.keys.map { UInt32(truncatingIfNeeded: $0) }
    let joining = ScalarRanges(scalars: seconds + classes.keys).union(ScalarRanges([0x1161...0x1175, 0x11A8...0x11C2]))
    let ordered = ScalarRanges(scalars: Array(classes.keys)).union(ScalarRanges([0xAC00...0xD7A3]))
    func inert(_ table: [UInt32: [UInt32]], _ others: ScalarRanges) -> ScalarSet {
      ScalarSet(ScalarRanges(scalars: Array(table.keys)).union(others).inverted)
    }
    // Composites come back from their parts.
    let whole = Set(composites.values)
    inertNFC = inert(canonical.filter { !whole.contains($0.key) }, joining)
    inertNFD = inert(canonical, ordered)
    inertNFKC = inert(compatible.filter { !whole.contains($0.key) || canonical[$0.key] != $0.value }, joining)
    inertNFKD = inert(compatible, ordered)
  }

  /// The canonical combining class of a scalar.
  @inline(__always)
  func order(_ c: UInt32) -> UInt8 { c < 0x300 || !marks.contains(c) ? 0 : classes[c] ?? 0 }

  /// Decomposes all candidates in one text, between separators that stop every interaction.
  private static func read(_ candidates: [UInt32], _ decompose: (String) -> String) -> [UInt32: [UInt32]] {
    var text = String.UnicodeScalarView()
    for value in candidates {
      if let scalar = Unicode.Scalar(value) { text.append(scalar) }
      text.append("\n")
    }
    var table: [UInt32: [UInt32]] = [:]
    var index = 0
    var part: [UInt32] = []
    for scalar in decompose(String(text)).unicodeScalars {
      guard scalar == "\n" else {
        part.append(scalar.value)
        continue
      }
      if index < candidates.count, part != [candidates[index]] { table[candidates[index]] = part }
      index += 1
      part = []
    }
    return table
  }

  /// A composite's last scalar joins the composite of those before it.
  private static func pairs(_ canonical: [UInt32: [UInt32]]) -> [UInt64: UInt32] {
    var whole: [[UInt32]: UInt32] = [:]
    var pairs: [UInt64: UInt32] = [:]
    for (composite, parts) in canonical.sorted(by: { ($0.value.count, $0.key) < ($1.value.count, $1.key) }) where parts.count > 1 {
      guard let scalar = Unicode.Scalar(composite), !scalar.properties.isFullCompositionExclusion, let last = parts.last else { continue }
      guard let first = parts.count == 2 ? parts[0] : whole[Array(parts.dropLast())] else { continue }
      whole[parts] = composite
      pairs[UInt64(first) << 32 | UInt64(last)] = composite
    }
    return pairs
  }
}
