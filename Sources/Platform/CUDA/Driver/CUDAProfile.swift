/// Where the time of a GPU went: every kernel, product, copy and fill between two moments, by name.
public struct CUDAProfile: Sendable {
  /// All calls of one name.
  public struct Line: Sendable {
    /// The kernel's name, or a product's sizes m×n×k, its formats, `t` for each transposed factor and `+=` where it adds.
    public let name: String
    /// How often.
    public let calls: Int
    /// Milliseconds together, between events before and after each call.
    public let milliseconds: Double
    /// Floating-point operations of all calls; 0 for what is not a product.
    public let flops: Double
    /// Whether it ran on another stream than the device's, and so beside the rest.
    public let isBeside: Bool

    /// 10¹² operations a second; nil for what is not a product.
    public var teraflops: Double? { flops > 0 && milliseconds > 0 ? flops / milliseconds * 1e-9 : nil }
  }

  /// Longest first.
  public let lines: [Line]
  /// Milliseconds by the host's clock, until the GPU was done.
  public let wallMilliseconds: Double
  /// Milliseconds between the first and the last mark in the device's stream.
  public let spanMilliseconds: Double

  /// Milliseconds of all calls on the device's stream. What `spanMilliseconds` has more are gaps: waiting for the host, and the events
  /// themselves.
  public var busyMilliseconds: Double { lines.reduce(0) { $0 + ($1.isBeside ? 0 : $1.milliseconds) } }

  /// A Markdown table; lines under `share` of the busy time are summed up.
  public func markdown(share: Double = 0.002) -> String {
    let busy = busyMilliseconds
    let isLarge = { (line: Line) in line.milliseconds >= share * busy }
    var rows = lines.filter(isLarge).map { row($0.isBeside ? "\($0.name) (beside)" : $0.name, $0.calls, $0.milliseconds, $0.teraflops) }
    let small = lines.filter { !isLarge($0) }
    if !small.isEmpty {
      rows.append(
        row("\(small.count) others", small.reduce(0) { $0 + $1.calls }, small.reduce(0) { $0 + ($1.isBeside ? 0 : $1.milliseconds) }, nil))
    }
    let products = lines.filter { $0.flops > 0 }
    let (time, flops) = (products.reduce(0) { $0 + $1.milliseconds }, products.reduce(0) { $0 + $1.flops })
    rows.append(row("**all products**", products.reduce(0) { $0 + $1.calls }, time, time > 0 ? flops / time * 1e-9 : nil))
    rows.append(row("**sum**", lines.reduce(0) { $0 + $1.calls }, busy, nil))
    let ends =
      "step by the clock \(fixed(wallMilliseconds, 1)) ms, on the GPU \(fixed(spanMilliseconds, 1)) ms, gaps \(fixed(spanMilliseconds - busy, 1)) ms"
    return (["| kernel or product | calls | ms | % | TFLOP/s |", "| --- | ---: | ---: | ---: | ---: |"] + rows + ["", ends])
      .joined(separator: "\n")
  }

  private func row(_ name: String, _ calls: Int, _ milliseconds: Double, _ teraflops: Double?) -> String {
    let part = busyMilliseconds > 0 ? 100 * milliseconds / busyMilliseconds : 0
    return "| \(name) | \(calls) | \(fixed(milliseconds, 2)) | \(fixed(part, 1)) | \(teraflops.map { fixed($0, 0) } ?? "") |"
  }

  /// A number with so many places behind the point, as every locale reads it here.
  private func fixed(_ value: Double, _ places: Int) -> String {
    let scale = [1.0, 10, 100][places]
    let whole = Int((abs(value) * scale).rounded())
    let sign = value < 0 && whole > 0 ? "-" : ""
    if places == 0 { return "\(sign)\(whole)" }
    let rest = "\(whole % Int(scale))"
    return "\(sign)\(whole / Int(scale))." + String(repeating: "0", count: places - rest.count) + rest
  }
}
