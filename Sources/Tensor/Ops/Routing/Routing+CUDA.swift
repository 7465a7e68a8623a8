import SwiftletCUDA
import SwiftletTensorCore

extension RouterForm {
  /// Scores [rows, experts], the chosen experts [rows, topK] and their weights [rows, topK], on the GPU of `logits`.
  func routeOnGPU(_ logits: Tensor, bias: Tensor?) -> (scores: Tensor, chosen: Tensor, weights: Tensor) {
    precondition(experts <= 2048, "\(experts) experts: the kernel holds 2048")
    let scores = Tensor(uninitialized: [rows, experts], on: logits.device)
    let chosen = Tensor(uninitialized: [rows, topK], .int32, on: logits.device)
    let weights = Tensor(uninitialized: [rows, topK], on: logits.device)
    let bias = bias.map { $0.moved(to: logits.device, part: .workspace).cast(to: .float32, part: .workspace) }
    let grouped = groups == nil ? [] : [KernelDefine("GROUPS", 1)]
    kernel("Routing.cu", "route_forward", defines(logits.dtype) + grouped, on: logits.gpu).launch(
      grid: grid(rows, each: 4), block: (128, 1, 1), scores.address, chosen.address, weights.address, logits.address,
      bias?.address ?? .null,
      scale, Int64(rows), Int32(experts), Int32(topK), Int32(normalize ? 1 : 0), Int32(groups?.count ?? 1), Int32(groups?.kept ?? 1))
    keepAlive(bias)
    return (scores, chosen, weights)
  }

  /// Gradient of the logits, in `dtype`, from that of the weights.
  func backwardOnGPU(_ gradient: Tensor, scores: Tensor, chosen: Tensor, _ dtype: DType) -> Tensor {
    precondition(gradient.dtype == .float32, "gradients of routing weights are float32, not \(gradient.dtype)")
    let result = Tensor(uninitialized: scores.shape, dtype, on: scores.device)
    kernel("Routing.cu", "route_backward", defines(dtype), on: scores.gpu).launch(
      grid: grid(rows, each: 4), block: (128, 1, 1), result.address, gradient.address, scores.address, chosen.address, scale, Int64(rows),
      Int32(experts), Int32(topK), Int32(normalize ? 1 : 0))
    return result
  }

  private func defines(_ dtype: DType) -> [KernelDefine] {
    [KernelDefine("T", dtype.cudaName), KernelDefine("SIGMOID", score == .sigmoid ? 1 : 0)]
  }
}

/// A routing's numbers on the GPU, int32.
struct RoutingTables {
  /// The expert of each slot.
  let experts: Tensor
  /// The place of each slot in the order by expert.
  let places: Tensor
  /// Where each expert's slots begin in that order, and at the end their number.
  let offsets: Tensor
  /// The token of each place.
  let tokens: Tensor

  init(_ routing: Routing, on device: Device) {
    let upload = { (values: [Int32]) in Tensor(values, [values.count], on: device) }
    experts = upload(routing.experts)
    places = upload(routing.places)
    offsets = upload(routing.offsets.map(Int32.init))
    let topK = Int32(max(routing.topK, 1))
    tokens = upload(routing.order.map { $0 / topK })
  }

  /// What sums over slots need, to be saved.
  var saved: [Tensor] { [experts, places, offsets] }
}

/// Sums over the slots of tokens on a GPU: the rows lie in one matrix an expert.
struct SlotRows {
  /// The experts' matrices; nil counts as zero.
  let parts: [Tensor?]
  /// Experts, places and offsets as `RoutingTables.saved`.
  let tables: ArraySlice<Tensor>
  let dtype: DType
  let columns: Int
  let topK: Int
  private let bases: Tensor

  init(_ parts: [Tensor?], tables: ArraySlice<Tensor>, dtype: DType, columns: Int, topK: Int) {
    (self.parts, self.tables, self.dtype, self.columns, self.topK) = (parts, tables, dtype, columns, topK)
    for case let part? in parts { precondition(part.dtype == dtype, "an expert's rows are \(part.dtype), not \(dtype)") }
    let addresses = parts.map { part in part.map { $0.count == 0 ? 0 : Int64(bitPattern: $0.address.address) } ?? 0 }
    bases = Tensor(addresses, [addresses.count], part: .workspace, on: tables[tables.startIndex].device)
  }

  private var table: (experts: DevicePointer, places: DevicePointer, offsets: DevicePointer) {
    let first = tables.startIndex
    return (tables[first].address, tables[first + 1].address, tables[first + 2].address)
  }

  /// `y[t] = Σ weight · row` over the slots of token t in order; weights 1 where nil.
  func sum(weights: Tensor?, shape: Shape) -> Tensor {
    let y = Tensor(uninitialized: shape, dtype, on: bases.device)
    let width = width([y.address])
    kernel("Routing.cu", "sum_slots", [KernelDefine("T", dtype.cudaName), KernelDefine("WIDTH", width)], on: bases.gpu).launch(
      grid: (shape.rows, 1, 1), block: (128, 1, 1), y.address, weights?.address ?? .null, bases.address, table.experts, table.places,
      table.offsets, UInt32(columns), Int32(topK))
    keepAlive(bases)
    return y
  }

  /// Gradients of the weights [tokens, topK] and of the rows by place [slots, columns].
  func backward(_ gradient: Tensor, weights: Tensor) -> (weights: Tensor, rows: Tensor) {
    let dw = Tensor(uninitialized: weights.shape, on: bases.device)
    let rows = Tensor(uninitialized: [weights.count, columns], dtype, on: bases.device)
    let width = width([gradient.address, rows.address])
    kernel("Routing.cu", "sum_slots_backward", [KernelDefine("T", dtype.cudaName), KernelDefine("WIDTH", width)], on: bases.gpu).launch(
      grid: (weights.count, 1, 1), block: (128, 1, 1), rows.address, dw.address, gradient.address, weights.address, bases.address,
      table.experts, table.places, table.offsets, UInt32(columns), Int32(topK))
    keepAlive(bases)
    return (dw, rows)
  }

  private func width(_ others: [DevicePointer]) -> Int {
    let rows = parts.compactMap { $0.flatMap { $0.count == 0 ? nil : $0.address } }
    return vectorWidth([(.null, dtype)] + (rows + others).map { ($0, dtype) }, dividing: [columns])
  }
}

/// `dispatch` on a GPU: the experts' rows are views of one matrix.
func dispatchOnGPU(_ x: Tensor, _ routing: Routing) -> [Tensor] {
  let (shape, topK, offsets, dtype) = (x.shape, routing.topK, routing.offsets, x.dtype)
  let tables = RoutingTables(routing, on: x.device)
  let all = selectRowsOnGPU(x, tables.tokens)
  let outputs = (0..<routing.expertCount).map { all.rows(offsets[$0]..<offsets[$0 + 1]) }
  guard let tape = x.trace?.tape else { return outputs }
  return tape.record("dispatch", [x], saving: tables.saved, outputs: outputs) { context in
    let parts = (0..<offsets.count - 1).map { context.take($0) }
    let rows = SlotRows(parts, tables: context.saved[...], dtype: dtype, columns: shape.columns, topK: topK)
    return [rows.sum(weights: nil, shape: shape)]
  }
}

/// `combine` on a GPU.
func combineOnGPU(_ outputs: [Tensor], _ routing: Routing) -> Tensor {
  let (topK, offsets, columns) = (routing.topK, routing.offsets, outputs[0].shape.columns)
  let (shape, dtype): (Shape, DType) = ([routing.tokens, columns], outputs[0].dtype)
  let tables = RoutingTables(routing, on: outputs[0].device)
  let rows = SlotRows(outputs, tables: tables.saved[...], dtype: dtype, columns: columns, topK: topK)
  let result = rows.sum(weights: routing.weights, shape: shape)
  let inputs = [routing.weights] + outputs
  guard let tape = tape(of: inputs) else { return result }
  return tape.record("combine", inputs, saving: tables.saved + inputs, outputs: [result]) { context in
    guard let gradient = context.take() else { return context.needs.map { _ in nil } }
    let saved = context.saved
    let rows = SlotRows(saved[4...].map { $0 }, tables: saved[..<3], dtype: dtype, columns: columns, topK: topK)
    let (dw, all) = rows.backward(gradient, weights: saved[3])
    let parts = (0..<offsets.count - 1).map { expert in
      context.needs[1 + expert] && offsets[expert + 1] > offsets[expert] ? all.rows(offsets[expert]..<offsets[expert + 1]) : nil
    }
    return [dw] + parts
  }[0]
}
