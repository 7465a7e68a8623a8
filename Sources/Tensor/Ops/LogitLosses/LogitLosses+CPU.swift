import Foundation

/// log softmax(z / temperature), in float64.
private func logProbabilities(_ z: UnsafePointer<Float>, count: Int, temperature: Float) -> [Double] {
  let scaled = (0..<count).map { Double(z[$0]) / Double(temperature) }
  let most = scaled.max() ?? 0
  let lse = most + Foundation.log(scaled.reduce(0) { $0 + Foundation.exp($1 - most) })
  return scaled.map { $0 - lse }
}

/// The divergence of one row; writes its gradient with respect to the student's logits.
///
/// With g = ∂loss/∂S: dz = S·(g − Σ S·g) / temperature. Up to constants, which cancel, g is −T/S (forward), log(S/T) (reverse) and
/// (1 − β)·log(S/M) (Jensen–Shannon).
func divergence(
  _ student: UnsafePointer<Float>, _ teacher: UnsafePointer<Float>, count: Int, _ kind: Distillation, temperature: Float,
  gradient: UnsafeMutablePointer<Float>
) -> Double {
  let logS = logProbabilities(student, count: count, temperature: temperature)
  let logT = logProbabilities(teacher, count: count, temperature: temperature)
  var loss = 0.0
  // S·g for each entry
  var pulls = [Double](repeating: 0, count: count)
  for j in 0..<count {
    let (s, t) = (Foundation.exp(logS[j]), Foundation.exp(logT[j]))
    switch kind {
    case .forward:
      loss += t > 0 ? t * (logT[j] - logS[j]) : 0
      pulls[j] = -t
    case .reverse:
      let term = s > 0 ? s * (logS[j] - logT[j]) : 0
      loss += term
      pulls[j] = term
    case .jensenShannon(let beta):
      let b = Double(beta)
      let logM = Foundation.log(b * t + (1 - b) * s)
      let term = s > 0 ? s * (logS[j] - logM) : 0
      loss += (t > 0 ? b * t * (logT[j] - logM) : 0) + (1 - b) * term
      pulls[j] = (1 - b) * term
    }
  }
  let total = pulls.reduce(0, +)
  for j in 0..<count { gradient[j] = Float((pulls[j] - Foundation.exp(logS[j]) * total) / Double(temperature)) }
  return loss
}
