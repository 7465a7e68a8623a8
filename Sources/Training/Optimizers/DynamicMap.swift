/// The 256 values of the dynamic 8-bit number format of Dettmers et al. (2022): seven decades, more digits towards one.
public struct DynamicMap: Sendable {
  /// The values, ascending.
  public let values: [Float]
  /// Where one code ends and the next begins: midpoints, ascending.
  let boundaries: [Float]

  /// With negative values: zero is code 127.
  public static let signed = DynamicMap(signed: true)
  /// From zero (code 0) to one.
  public static let unsigned = DynamicMap(signed: false)

  private init(signed: Bool) {
    var values: [Double] = [0, 1]
    for exponent in 0..<7 {
      let count = 1 << (exponent + (signed ? 0 : 1))
      let step = 0.9 / Double(count)
      let scale = DynamicMap.power(exponent - 6)
      for i in 0..<count {
        let value = (0.1 + step * (Double(i) + 0.5)) * scale
        values.append(value)
        if signed { values.append(-value) }
      }
    }
    self.init(values.sorted().map { Float($0) })
  }

  /// A map of 256 ascending values, as a checkpoint may hold.
  public init(_ values: [Float]) {
    self.values = values
    boundaries = zip(values, values.dropFirst()).map { ($0 + $1) / 2 }
  }

  private static func power(_ exponent: Int) -> Double { (0..<abs(exponent)).reduce(1.0) { product, _ in product / 10 } }

  /// The code of the value nearest to `x` in [-1, 1]; a tie goes to the lower code.
  @inline(__always)
  static func code(_ x: Float, _ boundaries: UnsafeBufferPointer<Float>) -> UInt8 {
    var (low, high) = (0, boundaries.count)
    while low < high {
      let middle = (low + high) >> 1
      if boundaries[middle] < x { low = middle + 1 } else { high = middle }
    }
    return UInt8(truncatingIfNeeded: low)
  }
}
