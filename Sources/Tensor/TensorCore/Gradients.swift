import SwiftletCPU
import SwiftletCUDA

/// `a + b` for gradients of one format, written into whichever is owned alone.
func sum(_ a: consuming Tensor?, _ b: consuming Tensor) -> Tensor {
  guard var first = consume a else { return b }
  var second = b
  precondition(first.count == second.count, "gradients of shapes \(first.shape) and \(second.shape) meet")
  if !first.isUniquelyOwned() {
    if second.isUniquelyOwned() { swap(&first, &second) } else { first = first.copied() }
  }
  first.add(second)
  return first
}

extension Tensor {
  /// New memory, float32, every element `value`.
  package init(filled value: Float, _ shape: Shape, on device: Device = .cpu) {
    self.init(uninitialized: shape, on: device)
    if device == .cpu {
      floats.initialize(repeating: value)
    } else if count > 0 {
      kernel("Elementwise.cu", "fill_value", [KernelDefine("T", DType.float32.cudaName)], on: gpu)
        .launch(grid: blocks(count), block: (256, 1, 1), address, value, Int64(count))
    }
  }

  /// Adds `other`, element by element.
  /// - Precondition: the same number of elements in the same format on the same device; on the CPU float32.
  package func add(_ other: Tensor) {
    precondition(
      count == other.count && dtype == other.dtype && device == other.device,
      "sum of \(dtype) \(shape) on \(device) and \(other.dtype) \(other.shape) on \(other.device)")
    if count == 0 { return }
    if device == .cpu {
      let (into, from) = (floats, other.floats)
      parallelFor(into.count, grain: 1 << 15) { range in
        for i in range { into[i] += from[i] }
      }
    } else {
      kernel("Elementwise.cu", "add_into", [KernelDefine("T", dtype.cudaName)], on: gpu)
        .launch(grid: blocks(count), block: (256, 1, 1), address, other.address, Int64(count))
    }
  }

  /// The elements rounded to another float format, in new memory on the same GPU, off tape.
  /// - Precondition: the tensor lies on a GPU.
  package func cast(to dtype: DType, part: MemoryPart = .activations) -> Tensor {
    if dtype == self.dtype { return detached }
    let result = Tensor(uninitialized: shape, dtype, part: part, on: device)
    result.assignCast(of: self)
    return result
  }

  /// Overwrites the elements with those of `source`, rounded.
  /// - Precondition: both lie on the same GPU and have the same number of elements.
  package func assignCast(of source: Tensor) {
    precondition(source.count == count && source.device == device, "\(source.shape) on \(source.device) cast to \(shape) on \(device)")
    if count == 0 { return }
    kernel("Elementwise.cu", "cast", [KernelDefine("TO", dtype.cudaName), KernelDefine("FROM", source.dtype.cudaName)], on: gpu)
      .launch(grid: blocks(count), block: (256, 1, 1), address, source.address, Int64(count))
  }
}

/// A grid of blocks of 256 threads, 8 elements a thread, that may loop.
package func blocks(_ count: Int) -> (Int, Int, Int) { (min(max(1, (count + 2047) / 2048), 1 << 16), 1, 1) }
