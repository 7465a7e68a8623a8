import SwiftletCPU
import SwiftletCUDA
import SwiftletTensorCore

/// The feed-forward half of a block as one node on a GPU.
///
/// Adapters cost next to nothing because they ride in the large products: `[x | h]·[W | s·B]ᵀ` has rank more columns to sum over, where a
/// product of its own would read and write the whole output once more. In backward likewise `[dy | dz]·[W ; A]`. So rows of activations are
/// padded by the rank, and dequantisation writes the weight beside its adapter. With dropout the way back through an adapter is a product of
/// its own.
///
/// A magnitude (DoRA) is a factor for each output. Gate and up are kept without it: the activation's passes apply it, so that all below is a
/// plain adapter's, and sum up what the magnitudes' gradients are made of. The output of down is kept without it for the same reason.
///
/// Saves (outside of replays) the padded norm, gate, up, the down adapter's `h` and with a magnitude its output. In a replay it saves `x` alone,
/// computes the output only if someone asks, and backward computes everything else from `x`, `tileRows` tokens at a time.
struct GPUGatedMLP {
  let norm: RMSNormOperands
  let gate: GPUSide
  let up: GPUSide
  let down: GPUSide
  let activation: GateActivation
  let tileRows: Int?

  /// What backward needs beside `x`.
  struct Kept {
    /// [h_gate | norm | h_up]
    let input: Tensor
    /// [tokens, inner + rank], room for backward's dz behind each row
    let gate: Tensor
    let up: Tensor
    /// [tokens, rank] of down; nil where backward computes it again
    let h: Tensor?
    /// [tokens, hidden]: `[a | h]·[W | s·B]ᵀ` of down, nil where its magnitude is not trained
    let output: Tensor?
    var tensors: [Tensor] { [input, gate, up] + [h, output].compactMap { $0 } }
  }

  init?(
    _ x: Tensor, _ norm: RMSNormOperands, _ gate: LinearOperands, _ up: LinearOperands, _ down: LinearOperands,
    _ activation: GateActivation, _ tileRows: Int?
  ) {
    guard !norm.weight.needsGradient, let gate = GPUSide(gate, like: x), let up = GPUSide(up, like: x), let down = GPUSide(down, like: x)
    else { return nil }
    self.norm = norm
    (self.gate, self.up, self.down) = (gate.withScale(like: x), up.withScale(like: x), down.withScale(like: x))
    self.activation = activation
    self.tileRows = tileRows
  }

  var hidden: Int { gate.inputs }
  var inner: Int { gate.outputs }

  /// The activation over some rows.
  private func gating(_ x: Tensor) -> GateOnGPU {
    GateOnGPU(activation: activation, rows: x.shape.rows, columns: inner, dtype: x.dtype, device: x.gpu)
  }

  private func tiles(_ rows: Int) -> [Range<Int>] {
    let size = max(1, min(rows, tileRows ?? rows))
    return stride(from: 0, to: rows, by: size).map { $0..<min(rows, $0 + size) }
  }

  // MARK: Forward

  /// Computes the output and records the node.
  func record(_ x: Tensor) -> Tensor {
    let adapters = [gate, up, down].flatMap(\.parameters)
    let tape = tape(of: [x] + adapters)
    let isReplay = tape?.isReplay ?? false
    let (plain, shape) = (x.detached, x.shape)
    if isReplay {
      let later = Storage(deferredOn: x.device, byteCount: x.byteCount, part: .activations) { address in
        forward(plain, into: address)
      }
      return record(x, adapters, Tensor(later, shape: shape, dtype: x.dtype), keeping: nil)
    }
    let output = Tensor(uninitialized: shape, x.dtype, on: x.device)
    guard tape != nil else {
      forward(plain, into: output.address)
      return output
    }
    let kept = middle(plain, first: 0, keeping: true)
    finish(plain, kept, into: output.address, first: 0)
    return record(x, adapters, output, keeping: kept)
  }

  private func record(_ x: Tensor, _ adapters: [Tensor], _ output: Tensor, keeping kept: Kept?) -> Tensor {
    guard let tape = tape(of: [x] + adapters) else { return output }
    return tape.record(
      "gatedMLP", [x] + adapters, saving: [x] + adapters + (kept?.tensors ?? []), outputs: [output]
    ) { context in
      guard let gradient = context.take() else { return context.needs.map { _ in nil } }
      return backward(gradient, &context, adapters: adapters.count, hasKept: kept != nil)
    }[0]
  }

  /// The output for all of `x` without keeping anything, tile by tile.
  private func forward(_ x: Tensor, into address: DevicePointer) {
    for tile in tiles(x.shape.rows) {
      let part = x.rows(tile)
      let first = tile.lowerBound
      finish(part, middle(part, first: first, keeping: false), into: address + first * hidden * x.dtype.size, first: first)
    }
  }

  /// Norm, gate and up of some rows, from token `first` on; where `keeping`, with memory for what `finish` leaves for backward.
  private func middle(_ x: Tensor, first token: Int, keeping: Bool) -> Kept {
    let (rows, blas, size) = (x.shape.rows, x.gpu.blas, x.dtype.size)
    let input = x.fresh(rows, gate.rank + hidden + up.rank, part: .activations)
    let n = DeviceRows(input.address + gate.rank * size, stride: input.shape.columns)
    norm.form(rows).forwardOnGPU(x, norm.weight, into: n)
    for (side, first) in [(gate, 0), (up, gate.rank + hidden)] {
      guard let lora = side.lora else { continue }
      side.read(n, rows: rows, first: token, like: x) { read in
        blas.multiply(
          read, lora.a.transposedMatrix, into: input.block(first: first, columns: side.rank), m: rows, n: side.rank, k: hidden)
      }
    }
    let g = x.fresh(rows, inner + gate.rank, part: .activations)
    let u = x.fresh(rows, inner + up.rank, part: .activations)
    gate.beside(like: x, adapterFirst: true) { weight in
      blas.multiply(
        input.block(columns: gate.rank + hidden), weight.transposedMatrix, into: g.block(columns: inner), m: rows, n: inner,
        k: gate.rank + hidden, bias: gate.productBias)
    }
    up.beside(like: x) { weight in
      blas.multiply(
        input.block(first: gate.rank, columns: hidden + up.rank), weight.transposedMatrix, into: u.block(columns: inner), m: rows,
        n: inner, k: hidden + up.rank, bias: up.productBias)
    }
    let h = keeping && down.lora != nil ? x.fresh(rows, down.rank, part: .activations) : nil
    let output = keeping && down.trainsMagnitude ? x.fresh(rows, hidden, part: .activations) : nil
    return Kept(input: input, gate: g, up: u, h: h, output: output)
  }

  /// `x + factor · [a | h]·[W | s·B]ᵀ` of down with `a = f(gate)·up`.
  private func finish(_ x: Tensor, _ kept: Kept, into address: DevicePointer, first token: Int) {
    guard let scale = down.scale else {
      return multiplyDown(kept, into: BlasMatrix(address, x.dtype.blas, stride: hidden), adding: x, first: token)
    }
    let output = kept.output ?? x.fresh(x.shape.rows, hidden)
    multiplyDown(kept, into: output.matrix, adding: nil, first: token)
    scale.output(output.address, like: x, into: address, bias: down.bias, residual: x)
    keepAlive(output)
  }

  /// `[a | h]·[W | s·B]ᵀ` of down, `h` kept where there is memory for it.
  private func multiplyDown(_ kept: Kept, into y: BlasMatrix, adding residual: Tensor?, first token: Int) {
    let (rows, blas) = (kept.gate.shape.rows, kept.gate.gpu.blas)
    let a = kept.gate.fresh(rows, inner + down.rank)
    activate(kept, into: DeviceRows(a))
    if let lora = down.lora {
      let tail = a.block(first: inner, columns: down.rank)
      down.read(DeviceRows(a), rows: rows, first: token, like: a) { read in
        blas.multiply(read, lora.a.transposedMatrix, into: tail, m: rows, n: down.rank, k: inner)
      }
      if let h = kept.h { copyRows(a, first: inner, columns: down.rank, into: h.address, stride: down.rank, factor: 1) }
    }
    down.beside(like: a) { weight in
      blas.multiply(
        a.matrix, weight.transposedMatrix, into: y, m: rows, n: hidden, k: inner + down.rank, beta: residual == nil ? 0 : 1,
        adding: residual?.matrix, bias: down.productBias)
    }
  }

  private func activate(_ kept: Kept, into a: DeviceRows) {
    let (g, u) = (DeviceRows(kept.gate), DeviceRows(kept.up))
    if gate.scale == nil && up.scale == nil { return gating(kept.gate).forward(gate: g, up: u, into: a) }
    gating(kept.gate).forward(gate: g, up: u, gate.adjustment, up.adjustment, into: a)
  }

  // MARK: Backward

  /// Memory that the gradients of one side's adapter are added to; nil where none is wanted.
  private struct SideGradients {
    var a: Tensor?
    var b: Tensor?
    var magnitude: Tensor?
  }

  private func backward(_ dy: consuming Tensor, _ context: inout BackwardContext, adapters: Int, hasKept: Bool) -> [Tensor?] {
    let x = context.saved[0]
    let loras = Array(context.saved[1..<1 + adapters])
    let gradients = loras.indices.map { context.sum(1 + $0, loras[$0].shape, on: x.device) }
    let rest = Array(context.saved[(1 + adapters)...])
    let kept = hasKept ? Kept(input: rest[0], gate: rest[1], up: rest[2], h: rest.dropFirst(3).first, output: rest.dropFirst(4).first) : nil
    var dy = dy
    let isOwn = dy.isUniquelyOwned()
    let dx = context.needs[0] ? (isOwn ? dy : dy.fresh(x.shape.rows, hidden, part: .activations)) : nil
    for tile in hasKept ? [0..<x.shape.rows] : tiles(x.shape.rows) {
      let part = x.rows(tile)
      let first = tile.lowerBound
      backward(dy.rows(tile), part, kept ?? remade(part, first: first), sides(gradients), into: dx?.rows(tile), first: first)
    }
    return [dx] + gradients
  }

  /// What backward needs of some rows, computed again; the product with down only for its magnitude's gradient.
  private func remade(_ x: Tensor, first token: Int) -> Kept {
    let kept = middle(x, first: token, keeping: down.trainsMagnitude)
    if let output = kept.output { multiplyDown(kept, into: output.matrix, adding: nil, first: token) }
    return kept
  }

  /// The gradients of gate, up and down out of the list of those sides that have adapters.
  private func sides(_ gradients: [Tensor?]) -> [SideGradients] {
    var rest = gradients[...]
    return [gate, up, down].map { side in
      guard let lora = side.lora else { return SideGradients() }
      let (a, b) = (rest.removeFirst(), rest.removeFirst())
      return SideGradients(a: a, b: b, magnitude: lora.magnitude == nil ? nil : rest.removeFirst())
    }
  }

  /// One tile, from token `first` on.
  private func backward(
    _ dy: Tensor, _ x: Tensor, _ kept: Kept, _ gradients: [SideGradients], into dx: Tensor?, first token: Int
  ) {
    let (rows, blas) = (x.shape.rows, x.gpu.blas)
    let padded = withAdapterGradient(dy, kept.output, addingTo: gradients[2].magnitude)
    let da = x.fresh(rows, inner)
    down.above(like: x) { weight in
      blas.multiply(padded.matrix, weight.matrix, into: da.matrix, m: rows, n: inner, k: down.height)
    }
    if down.lora != nil { down.addThroughAdapter(padded.block(first: hidden, columns: down.rank), rows: rows, first: token, to: da) }
    let d = DeviceRows(da)
    deactivate(kept, d, gradients, on: x.device)
    if let lora = down.lora {
      let h = kept.h ?? x.fresh(rows, down.rank)
      down.read(d, rows: rows, first: token, like: x) { read in
        if kept.h == nil {
          blas.multiply(read, lora.a.transposedMatrix, into: h.matrix, m: rows, n: down.rank, k: inner)
        }
        addOuter(padded.block(first: hidden, columns: down.rank), read, 1, rows: rows, to: gradients[2].a)
      }
      addOuter(
        down.scale == nil ? dy.matrix : padded.block(columns: hidden), h.matrix, lora.scale, rows: rows, to: gradients[2].b)
    }
    keepAlive(da)
    let dn = x.fresh(rows, hidden)
    let n = DeviceRows(kept.input.address + gate.rank * x.dtype.size, stride: kept.input.shape.columns)
    let sides = [(gate, kept.gate, 0), (up, kept.up, gate.rank + hidden)]
    for (index, (side, values, first)) in sides.enumerated() {
      if let lora = side.lora {
        let (d, dz) = (values.block(columns: inner), values.block(first: inner, columns: side.rank))
        blas.multiply(d, lora.b.matrix, into: dz, m: rows, n: side.rank, k: inner, alpha: lora.scale)
        addOuter(d, kept.input.block(first: first, columns: side.rank), lora.scale, rows: rows, to: gradients[index].b)
        side.read(n, rows: rows, first: token, like: x) { addOuter(dz, $0, 1, rows: rows, to: gradients[index].a) }
      }
      if dx == nil { continue }
      side.above(like: x) { weight in
        blas.multiply(
          values.matrix, weight.matrix, into: dn.matrix, m: rows, n: hidden, k: side.height, beta: index == 0 ? 0 : 1)
      }
      side.addThroughAdapter(values.block(first: inner, columns: side.rank), rows: rows, first: token, to: dn)
    }
    if let dx { norm.form(rows).inputGradientOnGPU(x, norm.weight, dn, arrived: dy, into: dx) }
  }

  /// Over gate, up and the gradient `d` of what they make: the gradients of gate and up, and the activation's output.
  private func deactivate(_ kept: Kept, _ d: DeviceRows, _ gradients: [SideGradients], on device: Device) {
    let (g, u) = (DeviceRows(kept.gate), DeviceRows(kept.up))
    if gate.scale == nil && up.scale == nil {
      return gating(kept.gate).backward(gate: g, up: u, dh: d, gateGradient: g, upGradient: u, h: d)
    }
    gating(kept.gate).backward(
      gate: g, up: u, dh: d, gate.adjustment, up.adjustment, addingTo: gradients[0].magnitude, gradients[1].magnitude, on: device)
  }

  /// `[factor·dy | dz]` with dz = s·factor·dy·B of down, and the gradient of its magnitude.
  private func withAdapterGradient(_ dy: Tensor, _ output: Tensor?, addingTo magnitude: Tensor?) -> Tensor {
    guard let lora = down.lora else { return dy }
    let padded = dy.fresh(dy.shape.rows, hidden + down.rank)
    if let scale = down.scale {
      scale.gradient(dy, into: DeviceRows(padded), u: output, addingTo: magnitude)
    } else {
      copyRows(dy, columns: hidden, into: padded.address, stride: padded.shape.columns, factor: 1)
    }
    dy.gpu.blas.multiply(
      down.scale == nil ? dy.matrix : padded.block(columns: hidden), lora.b.matrix,
      into: padded.block(first: hidden, columns: down.rank), m: dy.shape.rows, n: down.rank, k: hidden, alpha: lora.scale)
    return padded
  }
}

/// Columns `first…` of `x`, times `factor`, as the first columns of rows `stride` apart.
func copyRows(
  _ x: Tensor, first: Int = 0, columns: Int, into: DevicePointer, stride: Int, as dtype: DType? = nil, factor: Float = 1
) {
  castRows(
    DeviceRows(x.address + first * x.dtype.size, stride: x.shape.columns), x.dtype, to: DeviceRows(into, stride: stride),
    dtype ?? x.dtype, rows: x.shape.rows, columns: columns, factor: factor, on: x.gpu)
}

/// `target += factor · aᵀ·b` in float32, for the gradient of an adapter's matrix; nothing without a target.
private func addOuter(_ a: BlasMatrix, _ b: BlasMatrix, _ factor: Float, rows: Int, to target: Tensor?) {
  guard let target else { return }
  target.gpu.blas.multiply(
    a.T, b, into: target.matrix, m: target.shape[0], n: target.shape[1], k: rows, alpha: factor, beta: 1)
}
