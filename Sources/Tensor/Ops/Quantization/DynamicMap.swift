/// The 256 values of the dynamic 8-bit number format of Dettmers et al. (2022): seven decades, more digits towards one.
public struct DynamicMap: Sendable {
  /// The values, ascending.
  public let values: [Float]
  /// The code of each of 65,536 even steps from −1 to 1. bitsandbytes encodes by such a table on the CPU; it keeps small mean squares off
  /// zero, where a division would explode.
  package let codes: [UInt8]

  /// With negative values: zero is code 127.
  public static let signed = DynamicMap(signed: true)
  /// From zero (code 0) to one.
  public static let unsigned = DynamicMap(signed: false)

  /// Midpoints of even steps in each decade, rounded as bitsandbytes rounds them (PyTorch's `linspace` in float32).
  private init(signed: Bool) {
    var values: [Float] = [0, 1]
    for (exponent, scale) in ([1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1] as [Float]).enumerated() {
      let count = 1 << (exponent + (signed ? 0 : 1))
      let step = (1 - Float(0.1)) / Float(count)
      let edges = (0...count).map { i in
        i < (count + 1) / 2 ? Float(0.1).addingProduct(step, Float(i)) : Float(1).addingProduct(-step, Float(count - i))
      }
      let midpoints = zip(edges, edges.dropFirst()).map { ($0 + $1) / 2 * scale }
      values += midpoints + (signed ? midpoints.map { -$0 } : [])
    }
    self.init(values.sorted())
  }

  /// A map of 256 ascending values, as a checkpoint may hold.
  public init(_ values: [Float]) {
    self.values = values
    let boundaries = zip(values, values.dropFirst()).map { (Double($0) + Double($1)) / 2 }
    var code = 0
    codes = (0...65_535).map { step in
      let place = Double(Float(step) / 32_767.5 - 1)
      while code < boundaries.count, boundaries[code] < place { code += 1 }
      return UInt8(truncatingIfNeeded: code)
    }
  }

  /// The code of the value nearest to the step nearest to `x`, which lies in [−1, 1].
  @inlinable
  package static func code(_ x: Float, _ codes: UnsafeBufferPointer<UInt8>) -> UInt8 {
    let step = ((x + 1) * 0.5 * 65_535 + 0.5).rounded(.down)
    return codes[Int(max(0, min(65_535, step)))]
  }
}
