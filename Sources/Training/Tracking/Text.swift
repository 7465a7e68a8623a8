/// Numbers as people read them on a terminal.
package enum Text {
  /// `value` with `digits` digits after the point.
  package static func fixed(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return value.isNaN ? "NaN" : value.description }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let scaled = Int64((abs(value) * scale).rounded())
    let whole = scaled / Int64(scale)
    guard digits > 0 else { return (value < 0 && whole > 0 ? "-" : "") + String(whole) }
    let fraction = String(scaled % Int64(scale))
    let sign = value < 0 && scaled > 0 ? "-" : ""
    return sign + String(whole) + "." + String(repeating: "0", count: max(0, digits - fraction.count)) + fraction
  }

  /// `1.9e-4`; 0 for zero.
  package static func scientific(_ value: Double) -> String {
    guard value.isFinite, value != 0 else { return value == 0 ? "0" : "NaN" }
    var mantissa = abs(value)
    var exponent = 0
    while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
    while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
    if fixed(mantissa, 1) == "10.0" { (mantissa, exponent) = (1, exponent + 1) }
    return (value < 0 ? "-" : "") + fixed(mantissa, 1) + "e" + String(exponent)
  }

  /// `412`, `18.2k`, `3.1M`.
  package static func short(_ value: Double) -> String {
    guard value.isFinite else { return "–" }
    if value >= 1e6 { return fixed(value / 1e6, 1) + "M" }
    return value >= 1e4 ? fixed(value / 1e3, 1) + "k" : fixed(value, 0)
  }

  /// `512 B`, `6.0 GB`, in powers of 1000.
  package static func bytes(_ count: Int) -> String {
    var value = Double(count)
    for unit in ["B", "kB", "MB", "GB"] {
      if value < 1000 { return fixed(value, unit == "B" || value >= 100 ? 0 : 1) + " " + unit }
      value /= 1000
    }
    return fixed(value, 1) + " TB"
  }

  /// `52s`, `11m20s`, `3h05m`.
  package static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "–" }
    let total = Int(seconds.rounded())
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    if total < 60 { return "\(total)s" }
    return total < 3600 ? "\(total / 60)m" + two(total % 60) + "s" : "\(total / 3600)h" + two(total / 60 % 60) + "m"
  }

  /// `51,961`.
  package static func grouped(_ value: Int) -> String {
    var out = ""
    for (index, digit) in String(value.magnitude).reversed().enumerated() {
      if index > 0, index % 3 == 0 { out.append(",") }
      out.append(digit)
    }
    return (value < 0 ? "-" : "") + String(out.reversed())
  }
}
