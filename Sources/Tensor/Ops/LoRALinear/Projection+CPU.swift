import SwiftletCPU
import SwiftletTensorCore

extension Projection {
  /// Computes `rows` outputs into `y` and returns `h = drop(x)·Aᵀ` [rows, rank], which backward wants.
  ///
  /// - Parameter firstRow: place of the first row in the stream that dropout counts.
  @discardableResult
  func forward(_ x: UnsafePointer<Float>, rows: Int, firstRow: Int = 0, into y: UnsafeMutablePointer<Float>) -> Tensor? {
    let input = MatrixView(x, columns: inputs)
    weight.multiplyTransposed(input, rows: rows, into: y)
    var h: Tensor?
    if let lora {
      let dropped = self.dropped(x, rows: rows, firstRow: firstRow)
      let z = Tensor(uninitialized: [rows, lora.rank])
      product(dropped.map(MatrixView.init) ?? input, MatrixView(lora.a).T, into: z.pointer, m: rows, n: lora.rank, k: inputs)
      if let dropped, norms != nil {
        addDroppedDoRA(dropped, z, rows: rows, into: y)
      } else {
        addAdapter(z, rows: rows, into: y)
        scaleByMagnitude(y, rows: rows)
      }
      h = z
    }
    if let bias { addRow(bias.float32, to: y, rows: rows, columns: outputs) }
    return h
  }

  /// The adapter's input where dropout is active; nil where it is `x` itself.
  func dropped(_ x: UnsafePointer<Float>, rows: Int, firstRow: Int) -> Tensor? {
    guard let dropout = lora?.dropout else { return nil }
    let target = Tensor(uninitialized: [rows, inputs], part: .workspace)
    dropout.apply(x, to: target.pointer, first: (firstRow + dropout.firstRow) * inputs, count: rows * inputs)
    return target
  }

  /// `y += s·h·Bᵀ`
  private func addAdapter(_ h: Tensor, rows: Int, into y: UnsafeMutablePointer<Float>) {
    guard let lora else { return }
    product(MatrixView(h), MatrixView(lora.b).T, into: y, m: rows, n: outputs, k: lora.rank, accumulate: true, alpha: lora.scale)
  }

  private func scaleByMagnitude(_ y: UnsafeMutablePointer<Float>, rows: Int) {
    guard let ratio = magnitudeRatio() else { return }
    let outputs = outputs
    forRows(rows, columns: outputs) { row in
      for j in 0..<outputs { y[row * outputs + j] *= ratio[j] }
    }
  }

  /// DoRA under dropout: `y += (ratio − 1)·drop(x)·Wᵀ + ratio·s·h·Bᵀ`.
  private func addDroppedDoRA(_ dropped: Tensor, _ h: Tensor, rows: Int, into y: UnsafeMutablePointer<Float>) {
    guard let ratio = magnitudeRatio() else { return }
    let u = Tensor(uninitialized: [rows, outputs], part: .workspace)
    let (values, count) = (u.pointer, outputs)
    weight.multiplyTransposed(MatrixView(dropped), rows: rows, into: values)
    forElements(rows * count) { for i in $0 { y[i] -= values[i] } }
    addAdapter(h, rows: rows, into: values)
    forRows(rows, columns: count) { row in
      for j in 0..<count { y[row * count + j] += ratio[j] * values[row * count + j] }
    }
  }

  /// `magnitude / norm` per output; nil without DoRA.
  func magnitudeRatio() -> [Float]? {
    guard let magnitude = lora?.magnitude, let norms else { return nil }
    return zip(magnitude.floats, norms.floats).map { $0 / $1 }
  }

  /// ‖W + s·B·A‖ of each output's row, rows of 64 at a time.
  func doraNorms(_ lora: LoRAOperands) -> Tensor {
    let norms = Tensor(uninitialized: [outputs])
    let target = norms.pointer
    let block = Tensor(uninitialized: [min(64, outputs), inputs], part: .workspace)
    for start in stride(from: 0, to: outputs, by: 64) {
      let rows = min(64, outputs - start)
      weight.write(start..<start + rows, into: block)
      product(
        MatrixView(lora.b.rows(start..<start + rows)), MatrixView(lora.a), into: block.pointer, m: rows, n: inputs, k: lora.rank,
        accumulate: true, alpha: lora.scale)
      for row in 0..<rows {
        var total = 0.0
        for value in UnsafeBufferPointer(start: block.pointer + row * inputs, count: inputs) { total += Double(value) * Double(value) }
        target[start + row] = Float(total.squareRoot())
      }
    }
    return norms
  }
}

/// `y[r, :] += row` for every row.
func addRow(_ row: Tensor, to y: UnsafeMutablePointer<Float>, rows: Int, columns: Int) {
  let row = row.pointer
  forRows(rows, columns: columns) { r in
    let target = y + r * columns
    for j in 0..<columns { target[j] += row[j] }
  }
}
