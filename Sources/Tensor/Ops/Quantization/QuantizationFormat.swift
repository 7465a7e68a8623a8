import CPlatform

/// How a frozen weight is coded.
public enum QuantizationFormat: Hashable, Sendable {
  /// 16 quantiles of a normal distribution, a scale for each block of consecutive numbers (Dettmers et al., 2023).
  case nf4
  /// 4-bit floating-point numbers, scales as `nf4`.
  case fp4
  /// Whole numbers to ±127, a scale for each row: `w = code · scale / 127` (LLM.int8).
  case int8
  /// 8-bit floats of 4 exponent and 3 mantissa bits, a scale for each row: `w = code · scale`.
  case fp8
  /// The same with a scale for each block of 128 rows and 128 columns.
  case fp8Blocks
  /// Blocks of a GGUF file, by their type's number there; scales stand among the codes.
  case blocks(UInt32)

  /// The formats that `QuantizedMatrix(quantizing:)` makes.
  public static let made: [QuantizationFormat] = [.nf4, .fp4, .int8, .fp8, .fp8Blocks]

  /// Whether scales stand among the codes.
  public var isBlocks: Bool {
    if case .blocks = self { return true }
    return false
  }

  /// Whether two codes share a byte.
  public var isFourBit: Bool { self == .nf4 || self == .fp4 }

  /// The numbers that 4-bit codes stand for, as bitsandbytes has them.
  public var codebook: [Float]? {
    switch self {
    case .nf4: Self.normalFloat
    case .fp4: Self.tinyFloat
    default: nil
    }
  }

  private static let normalFloat: [Float] = [
    -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1,
  ]
  private static let tinyFloat: [Float] = {
    let sizes: [Float] = [0, 0.0625 / 12, 8.0 / 12, 12.0 / 12, 4.0 / 12, 6.0 / 12, 2.0 / 12, 3.0 / 12]
    return sizes + sizes.map { 0 - $0 }
  }()

  /// What the encoder of a 4-bit format compares with: the midpoints of neighbouring numbers, and the code of each rank. A number on a midpoint
  /// gets the lower neighbour.
  var encoder: FourBitEncoder {
    guard let codebook else { preconditionFailure("\(self) is no 4-bit format") }
    // fp4 has two codes of zero; as in bitsandbytes the second one gets the small numbers above zero.
    let codes = codebook.indices.sorted { (codebook[$0], $0) < (codebook[$1], $1) }
    return FourBitEncoder(
      thresholds: zip(codes, codes.dropFirst()).map { (codebook[$0] + codebook[$1]) * 0.5 }, ranks: codes.map { UInt8($0) })
  }
}

/// How a number in [−1, 1] becomes a 4-bit code: the number of thresholds that it exceeds is its rank.
struct FourBitEncoder {
  /// 15, ascending.
  let thresholds: [Float]
  /// The code of each of 16 ranks.
  let ranks: [UInt8]

  /// The form that C takes.
  var raw: swiftlet_code4 {
    var raw = swiftlet_code4()
    withUnsafeMutableBytes(of: &raw.thresholds) { thresholds.withUnsafeBytes($0.copyMemory) }
    withUnsafeMutableBytes(of: &raw.ranks) { ranks.withUnsafeBytes($0.copyMemory) }
    return raw
  }

  /// The codes of all ranks, four bits each, rank 0 lowest.
  var packedRanks: UInt64 { ranks.enumerated().reduce(0) { $0 | UInt64($1.element) << UInt64(4 * $1.offset) } }
}
