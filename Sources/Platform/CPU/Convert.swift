import CPlatform

/// Conversions between float32 and the shorter formats, vectorised.
public enum CPUConvert {
  /// `count` numbers of `type` to float32; exact.
  public static func toFloat(_ source: UnsafeRawPointer, type: CPUFloat, count: Int, to target: UnsafeMutablePointer<Float>) {
    swiftlet_to_f32(target, source, type.code, count)
  }

  /// `count` numbers of float32 to `type`, to nearest, ties to even; NaN stays NaN, what is too large becomes infinite.
  public static func fromFloat(_ source: UnsafePointer<Float>, count: Int, to target: UnsafeMutableRawPointer, type: CPUFloat) {
    swiftlet_from_f32(target, type.code, source, count)
  }
}
