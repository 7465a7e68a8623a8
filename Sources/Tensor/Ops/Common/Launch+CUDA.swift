import SwiftletCUDA
import SwiftletTensorCore

/// The most elements a vector may have so that every count is a multiple of it and every address is aligned to it, 16 bytes of the first
/// operand's format at most.
///
/// - Parameters:
///   - operands: addresses with the format that they are read in. Vectors over 16 bytes move in pieces of 16.
///   - counts: row lengths and row distances in elements.
func vectorWidth(_ operands: [(DevicePointer, DType)], dividing counts: [Int]) -> Int {
  var width = 16 / (operands.first?.1.size ?? 1)
  let fits = { (width: Int) in
    counts.allSatisfy { $0 % width == 0 } && operands.allSatisfy { $0.0.address % UInt64(min(16, width * $0.1.size)) == 0 }
  }
  while width > 1, !fits(width) { width /= 2 }
  return width
}

/// A grid of enough blocks for `count` items, `each` of them a block. Kernels stride, so a cap costs nothing but time.
func grid(_ count: Int, each: Int) -> (Int, Int, Int) { (min((count + each - 1) / each, 1 << 30), 1, 1) }

/// Holds tensors until here: what was launched with their addresses stands in the stream's queue, and memory is given back behind it.
func keepAlive(_ tensors: Tensor?...) { withExtendedLifetime(tensors) {} }
// Apart from the above, which makes optionals of its arguments early: a second reference, so that nothing would ever be owned alone.
func keepAlive(_ tensor: Tensor) { withExtendedLifetime(tensor) {} }
func keepAlive(_ a: Tensor, _ b: Tensor) { withExtendedLifetime((a, b)) {} }

/// A matrix whose rows lie `stride` elements apart.
struct DeviceRows {
  let address: DevicePointer
  let stride: Int

  init(_ address: DevicePointer, stride: Int) { (self.address, self.stride) = (address, stride) }
  /// A dense tensor.
  init(_ tensor: Tensor) { self.init(tensor.address, stride: tensor.shape.columns) }
}

/// Rows and columns of an element-wise pass: one long row where every operand is dense.
func flattened(rows: Int, columns: Int, strides: [Int]) -> (rows: Int, columns: Int, isFlat: Bool) {
  strides.allSatisfy { $0 == columns } && rows * columns <= Int(UInt32.max) ? (1, rows * columns, true) : (rows, columns, false)
}

/// How the kernels that hold a row in registers (`RowShape` in rows.cuh) serve rows of `columns` elements.
struct RowPlan {
  let columns: Int
  /// Elements a vector.
  let width: Int
  /// Threads a row.
  let group: Int
  /// Threads a block.
  let threads: Int

  /// - Parameter aligned: the addresses of the operands, in the format of the rows or wider.
  /// - Parameter strides: row distances of operands that are padded.
  init(columns: Int, strides: [Int] = [], dtype: DType, _ addresses: [(DevicePointer, DType)]) {
    self.columns = columns
    width = vectorWidth([(.null, dtype)] + addresses, dividing: [columns] + strides)
    let vectors = (columns + width - 1) / width
    var group = 1
    while group < 32, group < vectors { group *= 2 }
    var threads = 128
    if vectors > 64 {
      // Some four vectors a thread.
      while threads < 1024, threads * 4 < vectors { threads *= 2 }
      group = threads
    }
    (self.group, self.threads) = (group, threads)
  }

  /// Rows that a block serves at a time.
  var groups: Int { threads / group }

  /// What specialises a kernel.
  var defines: [KernelDefine] {
    [KernelDefine("COLUMNS", columns), KernelDefine("WIDTH", width), KernelDefine("GROUP", group), KernelDefine("THREADS", threads)]
  }

  /// Blocks for `rows` rows.
  func grid(_ rows: Int) -> (Int, Int, Int) { SwiftletOps.grid(rows, each: groups) }

  /// Blocks whose partial sums are added up: a number that depends on the rows only, so that every device adds in one order.
  func partialBlocks(_ rows: Int) -> Int { max(1, min((rows + groups - 1) / groups, 264)) }
}
