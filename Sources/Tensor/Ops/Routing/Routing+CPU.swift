import Foundation
import SwiftletCPU
import SwiftletTensorCore

/// The sizes and choices of one router.
struct RouterForm {
  let rows: Int
  let experts: Int
  let topK: Int
  let normalize: Bool
  let score: RouterScore
  let scale: Float
  let groups: RouterGroups?

  func scores(_ logits: Tensor) -> Tensor {
    let result = Tensor(uninitialized: [rows, experts])
    let (from, into, experts) = (logits.pointer, result.pointer, experts)
    forRows(rows, columns: experts) { row in
      let (z, p) = (from + row * experts, into + row * experts)
      switch score {
      case .sigmoid: for e in 0..<experts { p[e] = 1 / (1 + Foundation.exp(-z[e])) }
      case .softmax:
        var most = -Float.infinity
        for e in 0..<experts { most = max(most, z[e]) }
        var total: Float = 0
        for e in 0..<experts {
          p[e] = Foundation.exp(z[e] - most)
          total += p[e]
        }
        for e in 0..<experts { p[e] /= total }
      }
    }
    return result
  }

  func choose(_ scores: Tensor, bias: Tensor?) -> [Int32] {
    var chosen: [Int32] = []
    chosen.reserveCapacity(rows * topK)
    for row in 0..<rows {
      let p = scores.pointer + row * experts
      let rank = (0..<experts).map { p[$0] + (bias?.pointer[$0] ?? 0) }
      chosen.append(contentsOf: best(allowed(rank), topK) { rank[$0] }.map(Int32.init))
    }
    return chosen
  }

  /// The `count` places with the greatest numbers, at equal ones the lower place first.
  private func best(_ places: [Int], _ count: Int, _ number: (Int) -> Float) -> ArraySlice<Int> {
    places.sorted { number($0) != number($1) ? number($0) > number($1) : $0 < $1 }.prefix(count)
  }

  /// The experts that may be chosen: all, or those of the best groups.
  private func allowed(_ rank: [Float]) -> [Int] {
    guard let groups else { return Array(0..<experts) }
    let size = experts / groups.count
    let sums = (0..<groups.count).map { group in
      best(Array(group * size..<(group + 1) * size), 2) { rank[$0] }.reduce(Float(0)) { $0 + rank[$1] }
    }
    return best(Array(0..<groups.count), groups.kept) { sums[$0] }.flatMap { $0 * size..<($0 + 1) * size }
  }

  func weights(_ scores: Tensor, _ chosen: [Int32]) -> Tensor {
    let result = Tensor(uninitialized: [rows, topK])
    for row in 0..<rows {
      let (p, w) = (scores.pointer + row * experts, result.pointer + row * topK)
      for k in 0..<topK { w[k] = p[Int(chosen[row * topK + k])] }
      let factor = normalize ? scale / total(w) : scale
      for k in 0..<topK { w[k] *= factor }
    }
    return result
  }

  private func total(_ w: UnsafePointer<Float>) -> Float { (0..<topK).reduce(0) { $0 + w[$1] } }

  func backward(_ gradient: Tensor, scores: Tensor, chosen: [Int32]) -> Tensor {
    let result = Tensor(zeros: scores.shape)
    for row in 0..<rows {
      let (p, dz, dw) = (scores.pointer + row * experts, result.pointer + row * experts, gradient.pointer + row * topK)
      let picks = (0..<topK).map { Int(chosen[row * topK + $0]) }
      let sum = picks.reduce(Float(0)) { $0 + p[$1] }
      // w = scale·p/sum  ⇒  dp = scale·(dw − Σ dw·p/sum)/sum
      let pull = (0..<topK).reduce(Float(0)) { $0 + dw[$1] * p[picks[$1]] } / sum
      for (k, e) in picks.enumerated() { dz[e] = scale * (normalize ? (dw[k] - pull) / sum : dw[k]) }
      throughScore(p, dz)
    }
    return result
  }

  /// Gradient of the scores, in place, to gradient of the logits.
  private func throughScore(_ p: UnsafePointer<Float>, _ dz: UnsafeMutablePointer<Float>) {
    switch score {
    case .sigmoid: for e in 0..<experts { dz[e] *= p[e] * (1 - p[e]) }
    case .softmax:
      let dot = (0..<experts).reduce(Float(0)) { $0 + p[$1] * dz[$1] }
      for e in 0..<experts { dz[e] = p[e] * (dz[e] - dot) }
    }
  }
}
