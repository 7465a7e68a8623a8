import SwiftletCUDA

extension GPUCheck {
  /// A profile counts what was queued while it ran, and nothing else.
  static let profiles = GPUCheck("profile") { device in
    let x = GPUArray<Float>(1 << 16, on: device)
    let kernel = CheckKernels.kernel("affine", on: device)
    func launch() {
      kernel.launch(grid: (256, 1, 1), block: (256, 1, 1), x.pointer, x.pointer, Float(1), Float(0), Int32(x.count))
    }
    launch()
    let matrix = BlasMatrix(x.pointer, .bfloat16, stride: 64)
    let target = BlasMatrix(x.pointer + x.bytes / 2, .bfloat16, stride: 64)
    let profile = device.profile {
      for _ in 0..<5 { launch() }
      device.fill(x.pointer, byte: 0, bytes: x.bytes)
      if device.blas.error == nil { device.blas.multiply(matrix, matrix, into: target, m: 64, n: 64, k: 64) }
    }
    launch()
    func calls(_ name: String) -> Int { profile.lines.first { $0.name.hasPrefix(name) }?.calls ?? 0 }
    let unexpected = profile.lines.reduce(0) { $0 + $1.calls } - (device.blas.error == nil ? 7 : 6)
    let times = profile.lines.allSatisfy { $0.milliseconds > 0 && $0.milliseconds < 100 }
    let flops = profile.lines.reduce(0) { $0 + $1.flops }
    return [
      CheckResult(name: "profile: kernels", error: Double(abs(calls("affine") - 5)), tolerance: 0),
      CheckResult(name: "profile: fills", error: Double(abs(calls("fill") - 1)), tolerance: 0),
      CheckResult(name: "profile: calls beside", error: Double(abs(unexpected)), tolerance: 0),
      CheckResult(name: "profile: times", error: times ? 0 : 1, tolerance: 0),
      CheckResult(name: "profile: operations", error: device.blas.error == nil ? abs(flops - 2 * 64 * 64 * 64) : 0, tolerance: 0),
      CheckResult(
        name: "events: profile sums up to \(profile.busyMilliseconds) ms in a span of \(profile.spanMilliseconds)",
        error: max(0, profile.busyMilliseconds - profile.spanMilliseconds), tolerance: 0.01 * Double(profile.lines.count)),
    ]
  }
}
