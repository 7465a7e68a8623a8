import SwiftletFormats

/// Nil where all of `found` lies within `absolute` + `relative` · |wanted|; else the worst place.
package func difference(_ found: [Float], _ wanted: [Float], absolute: Float, relative: Float = 0) -> String? {
  guard found.count == wanted.count else { return "\(found.count) numbers where \(wanted.count) are wanted" }
  var worst = (excess: Float(0), index: -1)
  for i in found.indices {
    let excess = abs(found[i] - wanted[i]) - absolute - relative * abs(wanted[i])
    if !(excess <= worst.excess) { worst = (excess.isNaN ? .infinity : excess, i) }
  }
  return worst.index < 0 ? nil : "[\(worst.index)] is \(found[worst.index]), want \(wanted[worst.index])"
}

/// Nil where the relative L2 error is within `relative`, or every absolute one within `absolute`: the rule for gradients.
package func gradientDifference(_ found: [Float], _ wanted: [Float], relative: Double = 1e-4, absolute: Float = 2e-5) -> String? {
  guard found.count == wanted.count else { return "\(found.count) numbers where \(wanted.count) are wanted" }
  let error = zip(found, wanted).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
  let norm = wanted.reduce(0.0) { $0 + Double($1) * Double($1) }
  if error.squareRoot() <= relative * norm.squareRoot() { return nil }
  return difference(found, wanted, absolute: absolute).map { "relative L2 error \((error / norm).squareRoot()); \($0)" }
}

/// Nil where both are the same ids.
package func difference(_ found: [Int], _ wanted: [Int]) -> String? {
  guard found != wanted else { return nil }
  let at = zip(found, wanted).enumerated().first { $1.0 != $1.1 }?.offset ?? min(found.count, wanted.count)
  return "at \(at): \(found.dropFirst(at).prefix(8)), want \(wanted.dropFirst(at).prefix(8)) (lengths \(found.count), \(wanted.count))"
}

/// Nil where both are the same bytes.
package func difference(_ found: String, _ wanted: String) -> String? {
  guard !found.utf8.elementsEqual(wanted.utf8) else { return nil }
  let (a, b) = (Array(found.unicodeScalars), Array(wanted.unicodeScalars))
  let at = zip(a, b).enumerated().first { $1.0 != $1.1 }?.offset ?? min(a.count, b.count)
  func excerpt(_ scalars: [Unicode.Scalar]) -> String {
    String(String.UnicodeScalarView(scalars.dropFirst(max(0, at - 10)).prefix(40))).debugDescription
  }
  return "at \(at): \(excerpt(a)), want \(excerpt(b))"
}

extension JSON {
  /// The ids of an array of integers; nil where it is none.
  package var ids: [Int]? {
    guard let array else { return nil }
    let ids = array.compactMap(\.int)
    return ids.count == array.count ? ids : nil
  }

  /// The numbers of arrays in arrays, in order; null is −infinity.
  package var flatFloats: [Float] {
    switch self {
    case .array(let elements): elements.flatMap(\.flatFloats)
    case .null: [-.infinity]
    default: double.map { [Float($0)] } ?? []
    }
  }
}
