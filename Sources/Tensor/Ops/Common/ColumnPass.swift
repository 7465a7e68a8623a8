import SwiftletCUDA
import SwiftletTensorCore

/// A pass over activations in which a thread takes some columns and walks down some rows: what belongs to a column stays in registers, and a
/// column's sums need no other thread.
struct ColumnPass {
  /// Threads a block.
  static let threads = 128

  let rows: Int
  let columns: Int
  /// Columns a thread.
  let width: Int
  /// Rows a block: a number that depends on the rows only, so that every device adds in one order.
  let blockRows: Int
  private let dtype: DType

  /// - Parameters:
  ///   - strides: row distances of operands that are padded.
  ///   - addresses: the operands, all in `dtype`.
  init(rows: Int, columns: Int, strides: [Int] = [], _ addresses: [DevicePointer], _ dtype: DType) {
    (self.rows, self.columns, self.dtype) = (rows, columns, dtype)
    width = vectorWidth(addresses.map { ($0, dtype) }, dividing: [columns] + strides)
    blockRows = max(32, (rows + 511) / 512)
  }

  private var blocks: Int { (rows + blockRows - 1) / blockRows }

  /// Columns across, rows down.
  var grid: (Int, Int, Int) { ((columns / width + Self.threads - 1) / Self.threads, blocks, 1) }

  /// What specialises a kernel.
  var defines: [KernelDefine] { [KernelDefine("T", dtype.cudaName), KernelDefine("WIDTH", width)] }

  /// Memory for one sum of each column and block.
  func sums(on device: Device) -> Tensor { Tensor(uninitialized: [blocks, columns], part: .workspace, on: device) }

  /// `target[j] += Σ sums[·, j]`
  func add(_ sums: Tensor, to target: Tensor) {
    addPartials(sums.address, blocks: blocks, into: target, accumulate: true)
    keepAlive(sums)
  }

  /// Vectors of 16 bytes in each format, and single elements.
  static let formats: [[KernelDefine]] = [("bf16", 8), ("half16", 8), ("float32", 4), ("bf16", 1)].map {
    [KernelDefine("T", $0.0), KernelDefine("WIDTH", $0.1)]
  }
}
