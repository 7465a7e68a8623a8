import SwiftletCPU
import SwiftletCUDA
import SwiftletTensorCore

/// Several linear maps of one input: queries, keys and values.
///
/// On a GPU maps with adapters (DoRA's without dropout) are one node: their matrices A stand above each other, so that `x` is read once for all
/// of `h`, once for all gradients of A, and the input's gradient takes one pass through all adapters. Elsewhere this is `linear` for each.
public func linearGroup(_ x: Tensor, _ maps: [LinearOperands]) -> [Tensor] {
  if x.device.isCUDA, let group = GPULinearGroup(maps, like: x) { return group.record(x) }
  return maps.map { linear(x, $0) }
}

/// Frozen weights with adapters over one input.
struct GPULinearGroup {
  let weights: [LinearWeight]
  private let biases: [Tensor?]
  let loras: [LoRAOperands]
  /// The first column of each adapter's part of `h`, and at the end the number of columns.
  let starts: [Int]

  init?(_ maps: [LinearOperands], like x: Tensor) {
    var loras: [LoRAOperands] = []
    for map in maps {
      guard map.observer == nil, let lora = map.lora, lora.magnitude == nil || lora.dropout == nil, map.bias?.needsGradient != true,
        map.weight.trained?.needsGradient != true, lora.a.dtype == x.dtype, lora.b.dtype == x.dtype, lora.rank % 8 == 0
      else { return nil }
      loras.append(lora)
    }
    guard maps.count > 1 else { return nil }
    weights = maps.map(\.weight)
    biases = maps.map { $0.bias?.cast(to: x.dtype, part: .workspace) }
    self.loras = loras
    starts = loras.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.rank) }
  }

  private var rank: Int { starts[loras.count] }
  private var inputs: Int { weights[0].inputs }

  /// All A above each other, [rank, in].
  private func stacked(_ matrices: [Tensor], like x: Tensor) -> Tensor {
    let whole = x.fresh(rank, inputs)
    for (index, a) in matrices.enumerated() {
      x.gpu.copy(from: a.address, to: whole.rows(starts[index]..<starts[index + 1]).address, bytes: a.byteCount)
    }
    return whole
  }

  /// Whether an adapter reads its own copy of `x`.
  private var drops: Bool { loras.contains { $0.dropout != nil } }

  /// `h = drop(x)·Aᵀ` of all adapters; one product where they all read `x` itself.
  private func project(_ x: Tensor, into h: Tensor) {
    let (rows, blas) = (x.shape.rows, x.gpu.blas)
    guard drops else {
      return blas.multiply(x.matrix, stacked(loras.map(\.a), like: x).transposedMatrix, into: h.matrix, m: rows, n: rank, k: inputs)
    }
    for (index, lora) in loras.enumerated() {
      let read = lora.dropout?.dropped(x) ?? x
      blas.multiply(
        read.matrix, lora.a.transposedMatrix, into: h.block(first: starts[index], columns: lora.rank), m: rows, n: lora.rank, k: inputs)
    }
  }

  /// Computes all outputs and records the node.
  func record(_ x: Tensor) -> [Tensor] {
    let h = x.fresh(x.shape.rows, rank, part: .activations)
    project(x, into: h)
    let scales = scales(like: x)
    let adapters = loras.flatMap { [$0.a, $0.b] }
    let (magnitudes, norms) = (scales.compactMap { $0?.magnitude }, scales.compactMap { $0?.norms })
    let tape = tape(of: [x] + adapters + magnitudes)
    let (plain, shape) = (x.detached, x.shape)
    let outputs = loras.indices.map { index -> Tensor in
      let whole = shape.withColumns(weights[index].outputs)
      guard tape?.isReplay == true else {
        let y = Tensor(uninitialized: whole, x.dtype, on: x.device)
        write(index, plain, h, scales[index], into: y.address)
        return y
      }
      // Where a part of the sequence is replayed nobody may ask for it.
      let later = Storage(deferredOn: x.device, byteCount: whole.count * x.dtype.size, part: .activations) { address in
        write(index, plain, h, scales[index], into: address)
      }
      return Tensor(later, shape: whole, dtype: x.dtype)
    }
    guard let tape else { return outputs }
    return tape.record(
      "linearGroup", [x] + adapters + magnitudes, saving: [x, h] + adapters + magnitudes + norms, outputs: outputs
    ) { context in
      var gradients = loras.indices.map { context.take($0) }
      let (x, h) = (context.saved[0], context.saved[1])
      let ofMagnitudes = takeMagnitudes(from: &gradients, x, h, &context)
      return backward(gradients, x, h, Array(context.saved[2..<2 + adapters.count]), shape, &context) + ofMagnitudes
    }
  }

  /// Output `index`: the adapter's part first, to which the large product adds.
  private func write(_ index: Int, _ x: Tensor, _ h: Tensor, _ scale: MagnitudeScale?, into address: DevicePointer) {
    let (lora, weight, rows, blas) = (loras[index], weights[index], x.shape.rows, x.gpu.blas)
    let y = BlasMatrix(address, x.dtype.blas, stride: weight.outputs)
    blas.multiply(
      h.block(first: starts[index], columns: lora.rank), lora.b.transposedMatrix, into: y, m: rows, n: weight.outputs, k: lora.rank,
      alpha: lora.scale)
    let bias = scale == nil ? biases[index].map { ($0.address, $0.dtype.blas) } : nil
    weight.withDense(x.dtype, on: x.device) { dense in
      blas.multiply(x.matrix, dense.transposedMatrix, into: y, m: rows, n: weight.outputs, k: inputs, beta: 1, bias: bias)
    }
    scale?.output(address, like: x, into: address, bias: biases[index])
  }

  private func backward(
    _ dys: [Tensor?], _ x: Tensor, _ h: Tensor, _ adapters: [Tensor], _ shape: Shape, _ context: inout BackwardContext
  ) -> [Tensor?] {
    let (rows, blas) = (x.shape.rows, x.gpu.blas)
    let dz = x.fresh(rows, rank)
    if dys.contains(where: { $0 == nil }) { dz.fillZero() }
    var gradients = [Tensor?](repeating: nil, count: 1 + adapters.count)
    for (index, dy) in dys.enumerated() {
      guard let dy else { continue }
      let (lora, b) = (loras[index], adapters[2 * index + 1])
      blas.multiply(
        dy.matrix, b.matrix, into: dz.block(first: starts[index], columns: lora.rank), m: rows, n: lora.rank, k: weights[index].outputs,
        alpha: lora.scale)
      guard context.needs[2 + 2 * index] else { continue }
      let (target, accumulate) = context.destination(2 + 2 * index, b.shape, part: .gradients, on: x.device)
      blas.multiply(
        dy.matrix.T, h.block(first: starts[index], columns: lora.rank), into: target.matrix, m: weights[index].outputs, n: lora.rank,
        k: rows, alpha: lora.scale, beta: accumulate ? 1 : 0)
      gradients[2 + 2 * index] = target
    }
    if drops {
      addDroppedGradients(ofA: dz, x, adapters, &gradients, &context)
    } else {
      addGradients(ofA: dz, x, &gradients, context)
    }
    guard context.needs[0] else { return gradients }
    let (dx, accumulate) = context.destination(0, shape, x.dtype, on: x.device)
    addThroughAdapters(dz, loras.indices.map { adapters[2 * $0] }, into: dx, accumulate: accumulate)
    for (index, dy) in dys.enumerated() {
      guard let dy else { continue }
      weights[index].withDense(x.dtype, on: x.device) { dense in
        blas.multiply(dy.matrix, dense.matrix, into: dx.matrix, m: rows, n: inputs, k: weights[index].outputs, beta: 1)
      }
    }
    gradients[0] = dx
    return gradients
  }

  /// `dx (+)= Σ drop(dz·A)`
  private func addThroughAdapters(_ dz: Tensor, _ matrices: [Tensor], into dx: Tensor, accumulate: Bool) {
    let (rows, blas) = (dz.shape.rows, dz.gpu.blas)
    guard drops else {
      return blas.multiply(
        dz.matrix, stacked(matrices, like: dx).matrix, into: dx.matrix, m: rows, n: inputs, k: rank, beta: accumulate ? 1 : 0)
    }
    for (index, lora) in loras.enumerated() {
      let (part, adds) = (dz.block(first: starts[index], columns: lora.rank), accumulate || index > 0)
      let through = lora.dropout.map { _ in dx.fresh(rows, inputs) }
      blas.multiply(
        part, matrices[index].matrix, into: (through ?? dx).matrix, m: rows, n: inputs, k: lora.rank, beta: adds && through == nil ? 1 : 0)
      if let through { lora.dropout?.apply(through, to: dx, accumulate: adds) }
    }
  }

  /// The gradient of each A from what its adapter read.
  private func addDroppedGradients(
    ofA dz: Tensor, _ x: Tensor, _ adapters: [Tensor], _ gradients: inout [Tensor?], _ context: inout BackwardContext
  ) {
    for (index, lora) in loras.enumerated() where context.needs[1 + 2 * index] {
      let read = lora.dropout?.dropped(x) ?? x
      let (target, accumulate) = context.destination(1 + 2 * index, adapters[2 * index].shape, part: .gradients, on: x.device)
      x.gpu.blas.multiply(
        dz.block(first: starts[index], columns: lora.rank).T, read.matrix, into: target.matrix, m: lora.rank, n: inputs, k: x.shape.rows,
        beta: accumulate ? 1 : 0)
      gradients[1 + 2 * index] = target
    }
  }

  /// All gradients of A in one product; each parameter takes its rows.
  private func addGradients(ofA dz: Tensor, _ x: Tensor, _ gradients: inout [Tensor?], _ context: BackwardContext) {
    guard loras.indices.contains(where: { context.needs[1 + 2 * $0] }) else { return }
    let all = x.fresh(rank, inputs, .float32, part: .gradients)
    x.gpu.blas.multiply(dz.matrix.T, x.matrix, into: all.matrix, m: rank, n: inputs, k: x.shape.rows)
    for index in loras.indices where context.needs[1 + 2 * index] { gradients[1 + 2 * index] = all.rows(starts[index]..<starts[index + 1]) }
  }
}
