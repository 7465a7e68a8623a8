import SwiftletCUDA
import SwiftletTensorCore

extension EmbeddingTable {
  /// `forward` on a GPU for `ids` that lie there, in `dtype`. The table may lie in host memory: pinned, the kernel reads it over the bus;
  /// else the host gathers, and waits for the ids.
  func forwardOnGPU(_ ids: Tensor, _ dtype: DType) -> (Tensor, Tensor?) {
    let output = Tensor(uninitialized: [ids.count, dimension], dtype, on: ids.device)
    if !gather(ids, into: output) {
      let rows = gatheredOnHost(ids.moved(to: .cpu)).moved(to: ids.device, part: .workspace)
      castRows(
        DeviceRows(rows), rows.dtype, to: DeviceRows(output), dtype, rows: ids.count, columns: dimension, factor: scale, on: ids.gpu)
      keepAlive(rows)
    }
    guard let a, let b, ids.count > 0 else {
      return (output, a.map { Tensor(uninitialized: [ids.count, $0.shape[0]], dtype, on: ids.device) })
    }
    let rank = a.shape[0]
    let h = Tensor(uninitialized: [ids.count, rank], dtype, on: ids.device)
    let defines = [KernelDefine("T", dtype.cudaName), KernelDefine("TABLE", a.dtype.cudaName)]
    kernel("Embedding.cu", "pick_columns", defines, on: ids.gpu).launch(
      grid: grid(ids.count * rank, each: 256), block: (256, 1, 1), h.address, ids.address, a.address, Int64(ids.count), Int32(rank),
      Int32(vocabulary))
    let factor = b.cast(to: dtype, part: .workspace)
    ids.gpu.blas.multiply(
      BlasMatrix(h.address, dtype.blas, stride: rank), BlasMatrix(factor.address, dtype.blas, stride: rank, transposed: true),
      into: BlasMatrix(output.address, dtype.blas, stride: dimension), m: ids.count, n: dimension, k: rank, alpha: scale * loraScale,
      beta: 1)
    keepAlive(factor)
    return (output, h)
  }

  /// Writes the rows of `ids` times the scale; false where the GPU cannot reach the table.
  private func gather(_ ids: Tensor, into output: Tensor) -> Bool {
    switch weight {
    case .quantized(let table): return table.gatherBlocks(ids, times: scale, into: output)
    case .dense(let table):
      guard let place = table.reachableAddress else { return false }
      gather(ids, from: place, table.dtype, into: output)
      return true
    }
  }

  private func gather(_ ids: Tensor, from table: DevicePointer, _ dtype: DType, into output: Tensor) {
    let wider = dtype.size > output.dtype.size ? (table, dtype) : (output.address, output.dtype)
    let width = vectorWidth([wider, (table, dtype), (output.address, output.dtype)], dividing: [dimension])
    let defines = [KernelDefine("T", output.dtype.cudaName), KernelDefine("TABLE", dtype.cudaName), KernelDefine("WIDTH", width)]
    kernel("Embedding.cu", "embed", defines, on: ids.gpu).launch(
      grid: grid(output.count / width, each: 1024), block: (256, 1, 1), output.address, ids.address, table, scale, Int64(ids.count),
      UInt32(dimension), Int32(vocabulary))
  }

  private func gatheredOnHost(_ ids: Tensor) -> Tensor {
    check(ids, vocabulary: vocabulary)
    let places = ids.elements(Int32.self)
    switch weight {
    case .quantized(let table):
      let rows = Tensor(uninitialized: [ids.count, dimension], part: .workspace)
      table.gather(places, into: rows)
      return rows
    case .dense(let table):
      let rows = Tensor(uninitialized: [ids.count, dimension], table.dtype, part: .workspace)
      let bytes = dimension * table.dtype.size
      for (row, id) in places.enumerated() {
        (rows.bytes + row * bytes).copyMemory(from: table.bytes + Int(id) * bytes, byteCount: bytes)
      }
      return rows
    }
  }

  /// Adds to the float32 gradients of [weight, a, b] on a GPU.
  func backwardOnGPU(_ dy: Tensor, ids: Tensor, h: Tensor?, _ targets: [Tensor?]) {
    if ids.count == 0 || dimension == 0 { return }
    let keys = SortedRows(ids)
    if let target = targets[0] { keys.add(dy, times: scale, into: target) }
    guard let a, let b, let h else { return }
    let (rank, factor, gpu) = (a.shape[0], scale * loraScale, ids.gpu)
    let gradient = BlasMatrix(dy.address, dy.dtype.blas, stride: dimension)
    if let target = targets[2] {
      gpu.blas.multiply(
        BlasMatrix(dy.address, dy.dtype.blas, stride: dimension, transposed: true), BlasMatrix(h.address, h.dtype.blas, stride: rank),
        into: BlasMatrix(target.address, .float32, stride: rank), m: dimension, n: rank, k: ids.count, alpha: factor, beta: 1)
    }
    guard let target = targets[1] else { return }
    let dz = Tensor(uninitialized: [ids.count, rank], part: .workspace, on: ids.device)
    let rounded = b.cast(to: dy.dtype, part: .workspace)
    gpu.blas.multiply(
      gradient, BlasMatrix(rounded.address, dy.dtype.blas, stride: rank), into: BlasMatrix(dz.address, .float32, stride: rank),
      m: ids.count, n: rank, k: dimension, alpha: factor)
    kernel("Embedding.cu", "add_columns", [KernelDefine("T", dz.dtype.cudaName)], on: gpu).launch(
      grid: grid(ids.count * rank, each: 256), block: (256, 1, 1), target.address, dz.address, keys.address, UInt32(ids.count),
      UInt32(rank), Int32(vocabulary))
    keepAlive(dz, rounded, keys.keys)
  }
}

/// Row numbers on a GPU sorted with their places, so that rows that go to one target are added in the order of their places.
struct SortedRows {
  /// Number · 2³² + place, ascending.
  let keys: Tensor
  var address: DevicePointer { keys.address }

  /// - Parameter rows: int32, on a GPU.
  init(_ rows: Tensor) {
    let count = rows.count
    var sorted = Tensor(uninitialized: [count], .int64, part: .workspace, on: rows.device)
    kernel("Embedding.cu", "sort_blocks", [], on: rows.gpu).launch(
      grid: grid(count, each: 2048), block: (1024, 1, 1), sorted.address, rows.address, UInt32(count))
    var run = 2048
    if run < count {
      var other = Tensor(uninitialized: [count], .int64, part: .workspace, on: rows.device)
      while run < count {
        kernel("Embedding.cu", "merge_runs", [], on: rows.gpu).launch(
          grid: grid(count, each: 256), block: (256, 1, 1), other.address, sorted.address, UInt32(count), UInt32(run))
        swap(&sorted, &other)
        run *= 2
      }
      keepAlive(other)
    }
    keys = sorted
  }

  /// `target[number] += factor · Σ rows of dy` [places, columns].
  func add(_ dy: Tensor, times factor: Float, into target: Tensor) {
    let columns = target.shape.columns
    let wider = target.dtype.size > dy.dtype.size ? (target.address, target.dtype) : (dy.address, dy.dtype)
    let width = vectorWidth([(dy.address, dy.dtype), wider], dividing: [columns])
    let defines = [
      KernelDefine("T", dy.dtype.cudaName), KernelDefine("SUM", target.dtype.cudaName), KernelDefine("WIDTH", width),
    ]
    kernel("Embedding.cu", "add_rows", defines, on: dy.gpu).launch(
      grid: (keys.count, (columns + 128 * width - 1) / (128 * width), 1), block: (128, 1, 1), target.address, dy.address, keys.address,
      factor, UInt32(keys.count), UInt32(columns), Int32(target.shape.rows))
    keepAlive(keys)
  }
}

extension Tensor {
  /// Where a GPU finds the elements: on it, or in pinned host memory; nil for other host memory.
  var reachableAddress: DevicePointer? { device.isCUDA ? address : storage.pinned?.mappedAddress.map { $0 + byteOffset } }
}
