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
/// Saves (outside of replays) the padded norm, gate, up and the down adapter's `h`. In a replay it saves `x` alone, computes the output only
/// if someone asks, and backward computes everything else from `x`, `tileRows` tokens at a time.
struct GPUGatedMLP {
  let norm: RMSNormOperands
  let gate: GPUSide
  let up: GPUSide
  let down: GPUSide
  let activation: GateActivation
  let tileRows: Int?

  /// A frozen weight with or without a plain adapter.
  struct GPUSide {
    let weight: LinearWeight
    let lora: LoRAOperands?
    var rank: Int { lora?.rank ?? 0 }
    var inputs: Int { weight.inputs }
    var outputs: Int { weight.outputs }

    init?(_ operands: LinearOperands, like x: Tensor) {
      guard operands.bias == nil, operands.weight.trained?.needsGradient != true else { return nil }
      if let lora = operands.lora {
        guard lora.magnitude == nil, lora.rank % 8 == 0, lora.a.dtype == x.dtype, lora.b.dtype == x.dtype else {
          return nil
        }
      }
      guard operands.weight.inputs % 8 == 0, operands.weight.outputs % 8 == 0 else { return nil }
      weight = operands.weight
      lora = operands.lora
    }

    /// Lets `body` queue products with `[W | s·B]` [out, in + rank], or `[s·B | W]`.
    func beside(like x: Tensor, adapterFirst: Bool = false, _ body: (Tensor) -> Void) {
      guard let lora else { return weight.withDense(x.dtype, on: x.device, body) }
      let (width, size) = (inputs + rank, x.dtype.size)
      // One row's adapter more: a view that starts behind the adapter ends behind the last row.
      weight.withNumbers(outputs * width + rank, x.dtype, on: x.device) { storage in
        let first = adapterFirst ? rank * size : 0
        weight.write(into: Tensor(storage, byteOffset: first, shape: [outputs, width], dtype: x.dtype))
      } _: { storage in
        let whole = Tensor(storage, shape: [outputs, width], dtype: x.dtype)
        copyRows(lora.b, columns: rank, into: whole.address + (adapterFirst ? 0 : inputs * size), stride: width, factor: lora.scale)
        body(whole)
      }
    }

    /// Rows of the matrix that `above` gives.
    var height: Int { outputs + (lora?.dropout == nil ? rank : 0) }

    /// Lets `body` queue products with `[W ; A]` [out + rank, in], with `W` alone where the adapter has dropout.
    func above(like x: Tensor, _ body: (Tensor) -> Void) {
      guard let lora, lora.dropout == nil else { return weight.withDense(x.dtype, on: x.device, body) }
      let shape: Shape = [height, inputs]
      weight.withNumbers(shape.count, x.dtype, on: x.device) { storage in
        weight.write(into: Tensor(storage, shape: [outputs, inputs], dtype: x.dtype))
      } _: { storage in
        let whole = Tensor(storage, shape: shape, dtype: x.dtype)
        x.gpu.copy(from: lora.a.address, to: whole.rows(outputs..<outputs + rank).address, bytes: lora.a.byteCount)
        body(whole)
      }
    }

    /// Lets `body` queue products with what the adapter reads of `x`, rows from `first` on of all tokens.
    func read(_ x: DeviceRows, rows: Int, first: Int, like: Tensor, _ body: (BlasMatrix) -> Void) {
      guard let dropout = lora?.dropout else { return body(BlasMatrix(x.address, like.dtype.blas, stride: x.stride)) }
      let dropped = like.fresh(rows, inputs)
      dropout.apply(x, to: DeviceRows(dropped), like.dtype, rows: rows, columns: inputs, first: first * inputs, on: like.gpu)
      body(dropped.matrix)
      keepAlive(dropped)
    }

    /// `dx += drop(dz·A)` where the adapter has dropout; without, it rode in the product with `above`.
    func addThroughAdapter(_ dz: BlasMatrix, rows: Int, first: Int, to dx: Tensor) {
      guard let lora, let dropout = lora.dropout else { return }
      let through = dx.fresh(rows, inputs)
      dx.gpu.blas.multiply(dz, lora.a.matrix, into: through.matrix, m: rows, n: inputs, k: rank)
      dropout.apply(
        DeviceRows(through), to: DeviceRows(dx), dx.dtype, rows: rows, columns: inputs, first: first * inputs, accumulate: true, on: dx.gpu)
      keepAlive(through)
    }
  }

  /// What backward needs beside `x`.
  struct Kept {
    /// [h_gate | norm | h_up]
    let input: Tensor
    /// [tokens, inner + rank], room for backward's dz behind each row
    let gate: Tensor
    let up: Tensor
    /// [tokens, rank] of down
    let h: Tensor?
    var tensors: [Tensor] { [input, gate, up] + (h.map { [$0] } ?? []) }
  }

  init?(
    _ x: Tensor, _ norm: RMSNormOperands, _ gate: LinearOperands, _ up: LinearOperands, _ down: LinearOperands,
    _ activation: GateActivation, _ tileRows: Int?
  ) {
    guard !norm.weight.needsGradient, let gate = GPUSide(gate, like: x), let up = GPUSide(up, like: x), let down = GPUSide(down, like: x)
    else { return nil }
    self.norm = norm
    self.gate = gate
    self.up = up
    self.down = down
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
    let adapters = [gate, up, down].flatMap { side in side.lora.map { [$0.a, $0.b] } ?? [] }
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
    let kept = middle(plain, first: 0)
    finish(plain, kept, into: output.address, h: kept.h, first: 0)
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
      finish(
        part, middle(part, first: tile.lowerBound), into: address + tile.lowerBound * hidden * x.dtype.size, h: nil, first: tile.lowerBound)
    }
  }

  /// Norm, gate and up of some rows, from token `first` on.
  private func middle(_ x: Tensor, first token: Int) -> Kept {
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
        k: gate.rank + hidden)
    }
    up.beside(like: x) { weight in
      blas.multiply(
        input.block(first: gate.rank, columns: hidden + up.rank), weight.transposedMatrix, into: u.block(columns: inner), m: rows,
        n: inner, k: hidden + up.rank)
    }
    let h = down.lora.map { _ in x.fresh(rows, down.rank, part: .activations) }
    return Kept(input: input, gate: g, up: u, h: h)
  }

  /// `x + [a | h]·[W | s·B]ᵀ` of down with `a = f(gate)·up`.
  private func finish(_ x: Tensor, _ kept: Kept, into address: DevicePointer, h: Tensor?, first token: Int) {
    let (rows, blas) = (x.shape.rows, x.gpu.blas)
    let a = x.fresh(rows, inner + down.rank)
    gating(x).forward(gate: DeviceRows(kept.gate), up: DeviceRows(kept.up), into: DeviceRows(a))
    if let lora = down.lora {
      let tail = a.block(first: inner, columns: down.rank)
      down.read(DeviceRows(a), rows: rows, first: token, like: x) { read in
        blas.multiply(read, lora.a.transposedMatrix, into: tail, m: rows, n: down.rank, k: inner)
      }
      if let h { copyRows(a, first: inner, columns: down.rank, into: h.address, stride: down.rank, factor: 1) }
    }
    let y = BlasMatrix(address, x.dtype.blas, stride: hidden)
    down.beside(like: x) { weight in
      blas.multiply(
        a.matrix, weight.transposedMatrix, into: y, m: rows, n: hidden, k: inner + down.rank, beta: 1, adding: x.matrix)
    }
  }

  // MARK: Backward

  /// Memory that the gradients of one side's adapter are added to; nil where none is wanted.
  private struct SideGradients {
    var a: Tensor?
    var b: Tensor?
  }

  private func backward(_ dy: consuming Tensor, _ context: inout BackwardContext, adapters: Int, hasKept: Bool) -> [Tensor?] {
    let x = context.saved[0]
    let loras = Array(context.saved[1..<1 + adapters])
    let gradients: [Tensor?] = loras.indices.map { index in
      guard context.needs[1 + index] else { return nil }
      let (target, accumulate) = context.destination(1 + index, loras[index].shape, part: .gradients, on: x.device)
      if !accumulate { target.fillZero() }
      return target
    }
    let rest = Array(context.saved[(1 + adapters)...])
    let kept = hasKept ? Kept(input: rest[0], gate: rest[1], up: rest[2], h: rest.count > 3 ? rest[3] : nil) : nil
    var dy = dy
    let isOwn = dy.isUniquelyOwned()
    let dx = context.needs[0] ? (isOwn ? dy : dy.fresh(x.shape.rows, hidden, part: .activations)) : nil
    for tile in hasKept ? [0..<x.shape.rows] : tiles(x.shape.rows) {
      let part = x.rows(tile)
      let first = tile.lowerBound
      backward(
        dy.rows(tile), part, kept ?? middle(part, first: first), isRemade: kept == nil, sides(gradients), into: dx?.rows(tile), first: first
      )
    }
    return [dx] + gradients
  }

  /// The gradients of gate, up and down out of the list of those sides that have adapters.
  private func sides(_ gradients: [Tensor?]) -> [SideGradients] {
    var rest = gradients[...]
    return [gate, up, down].map { side in
      side.lora == nil ? SideGradients() : SideGradients(a: rest.removeFirst(), b: rest.removeFirst())
    }
  }

  /// One tile, from token `first` on.
  private func backward(
    _ dy: Tensor, _ x: Tensor, _ kept: Kept, isRemade: Bool, _ gradients: [SideGradients], into dx: Tensor?, first token: Int
  ) {
    let (rows, blas) = (x.shape.rows, x.gpu.blas)
    let padded = withAdapterGradient(dy)
    let da = x.fresh(rows, inner)
    down.above(like: x) { weight in
      blas.multiply(padded.matrix, weight.matrix, into: da.matrix, m: rows, n: inner, k: down.height)
    }
    if down.lora != nil { down.addThroughAdapter(padded.block(first: hidden, columns: down.rank), rows: rows, first: token, to: da) }
    // Afterwards the activation's output stands over its gradient, and the inputs' gradients over the inputs.
    let (g, u, d) = (DeviceRows(kept.gate), DeviceRows(kept.up), DeviceRows(da))
    gating(x).backward(gate: g, up: u, dh: d, gateGradient: g, upGradient: u, h: d)
    if let lora = down.lora {
      let h = isRemade ? x.fresh(rows, down.rank) : kept.h ?? x.fresh(rows, down.rank)
      down.read(d, rows: rows, first: token, like: x) { read in
        if isRemade || kept.h == nil {
          blas.multiply(read, lora.a.transposedMatrix, into: h.matrix, m: rows, n: down.rank, k: inner)
        }
        addOuter(padded.block(first: hidden, columns: down.rank), read, 1, rows: rows, to: gradients[2].a)
      }
      addOuter(dy.matrix, h.matrix, lora.scale, rows: rows, to: gradients[2].b)
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

  /// `[dy | dz]` with dz = s·dy·B of down.
  private func withAdapterGradient(_ dy: Tensor) -> Tensor {
    guard let lora = down.lora else { return dy }
    let padded = dy.fresh(dy.shape.rows, hidden + down.rank)
    copyRows(dy, columns: hidden, into: padded.address, stride: padded.shape.columns, factor: 1)
    dy.gpu.blas.multiply(
      dy.matrix, lora.b.matrix, into: padded.block(first: hidden, columns: down.rank), m: dy.shape.rows, n: down.rank, k: hidden,
      alpha: lora.scale)
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
