import SwiftletCPU
import SwiftletTensorCore

/// The rows of `x` [tokens, features] that go to each expert, tokens in ascending order; an expert may get none.
///
/// Saves nothing. Backward adds a token's rows in the order of its slots.
public func dispatch(_ x: Tensor, _ routing: Routing) -> [Tensor] {
  let (columns, shape, topK) = (x.shape.columns, x.shape, routing.topK)
  precondition(shape.rows == routing.tokens, "\(shape.rows) rows for a routing of \(routing.tokens)")
  if x.device.isCUDA { return dispatchOnGPU(x, routing) }
  let (order, places, offsets) = (routing.order, routing.places, routing.offsets)
  let outputs = (0..<routing.expertCount).map { expert in
    let slots = order[offsets[expert]..<offsets[expert + 1]]
    let part = Tensor(uninitialized: [slots.count, columns])
    for (row, slot) in slots.enumerated() {
      (part.pointer + row * columns).update(from: x.pointer + Int(slot) / topK * columns, count: columns)
    }
    return part
  }
  guard let tape = x.trace?.tape else { return outputs }
  return tape.record("dispatch", [x], saving: [], outputs: outputs) { context in
    let parts = outputsTaken(&context, offsets.count - 1)
    let target = Tensor(zeros: shape)
    let rows = ExpertRows(parts: parts, offsets: offsets, columns: columns)
    forRows(shape.rows, columns: columns * topK) { token in
      for k in 0..<topK {
        guard let from = rows[Int(places[token * topK + k])] else { continue }
        for j in 0..<columns { target.pointer[token * columns + j] += from[j] }
      }
    }
    return [target]
  }
}

/// `y[t] = Σ weight · output of the token's experts`, slots in order: the end of a mixture of experts.
///
/// - Parameter outputs: for each expert [its tokens, features], rows as `dispatch` gave them.
/// - Returns: [tokens, features].
///
/// Saves the weights and outputs.
public func combine(_ outputs: [Tensor], _ routing: Routing) -> Tensor {
  let (tokens, topK, places, offsets, order) = (routing.tokens, routing.topK, routing.places, routing.offsets, routing.order)
  precondition(outputs.count == routing.expertCount, "\(outputs.count) outputs of \(routing.expertCount) experts")
  if routing.weights.device.isCUDA { return combineOnGPU(outputs, routing) }
  let columns = outputs.first?.shape.columns ?? 0
  let result = Tensor(zeros: [tokens, columns])
  let rows = ExpertRows(parts: outputs, offsets: offsets, columns: columns)
  let weights = routing.weights.pointer
  forRows(tokens, columns: columns * topK) { token in
    for slot in token * topK..<(token + 1) * topK {
      guard let from = rows[Int(places[slot])] else { continue }
      for j in 0..<columns { result.pointer[token * columns + j] += weights[slot] * from[j] }
    }
  }
  let inputs = [routing.weights] + outputs
  guard let tape = tape(of: inputs) else { return result }
  return tape.record("combine", inputs, saving: inputs, outputs: [result]) { context in
    guard let gradient = context.take() else { return context.needs.map { _ in nil } }
    let saved = context.saved
    let rows = ExpertRows(parts: saved.dropFirst().map { $0 }, offsets: offsets, columns: columns)
    let dw = Tensor(uninitialized: [tokens, topK])
    forRows(tokens, columns: columns * topK) { token in
      for slot in token * topK..<(token + 1) * topK {
        var dot: Float = 0
        if let from = rows[Int(places[slot])] { for j in 0..<columns { dot += from[j] * gradient.pointer[token * columns + j] } }
        dw.pointer[slot] = dot
      }
    }
    let parts = (0..<offsets.count - 1).map { expert -> Tensor? in
      guard context.needs[1 + expert], offsets[expert + 1] > offsets[expert] else { return nil }
      let part = Tensor(uninitialized: saved[1 + expert].shape)
      for (row, slot) in order[offsets[expert]..<offsets[expert + 1]].enumerated() {
        let (from, weight) = (gradient.pointer + Int(slot) / topK * columns, saved[0].pointer[Int(slot)])
        for j in 0..<columns { part.pointer[row * columns + j] = weight * from[j] }
      }
      return part
    }
    return [dw] + parts
  }[0]
}

private func outputsTaken(_ context: inout BackwardContext, _ count: Int) -> [Tensor?] { (0..<count).map { context.take($0) } }

/// Rows of all experts under their place in the sorted order.
private struct ExpertRows {
  private var rows: [UnsafePointer<Float>?] = []
  /// Keeps the rows alive.
  private let parts: [Tensor?]

  init(parts: [Tensor?], offsets: [Int], columns: Int) {
    self.parts = parts
    for (expert, part) in parts.enumerated() {
      for row in 0..<offsets[expert + 1] - offsets[expert] { rows.append(part.map { UnsafePointer($0.pointer + row * columns) }) }
    }
  }

  subscript(place: Int) -> UnsafePointer<Float>? { rows[place] }
}
