import SwiftletCPU
import SwiftletCUDA
import Synchronization

/// A tensor of a GPU that waits in pinned host memory until backward wants it, copied out behind the computation and fetched ahead of its use.
///
/// Offloaded tensors of one pass form a chain in the order of the forward pass: backward, which asks for them in the opposite order, starts
/// the copy of the next one (`fetchNext`) while it works on one. Copies run in streams of their own; events order them with the computation.
final class OffloadedTensor {
  private let host: PinnedMemory
  private let shape: Shape
  private let dtype: DType
  private let device: Device
  private let isOut: CUDAEvent
  /// The tensor until its copy is known to be done: its memory must not be reused before.
  private var source: Tensor?
  private var fetched: (tensor: Tensor, isIn: CUDAEvent)?
  /// What the forward pass offloaded before this.
  private let previous: OffloadedTensor?

  private var isBack: CUDAEvent?

  /// Host memory of tensors that are gone while a copy from it may still run.
  private static let retired = Mutex<[(host: PinnedMemory, isFree: CUDAEvent)]>([])

  /// Queues the copy to the host.
  init(_ tensor: Tensor, after previous: OffloadedTensor?) {
    let gpu = tensor.gpu
    OffloadedTensor.retired.withLock { $0.removeAll { $0.isFree.isDone } }
    (shape, dtype, device) = (tensor.shape, tensor.dtype, tensor.device)
    self.previous = previous
    host = PinnedMemory(tensor.byteCount, on: gpu)
    source = tensor.detached
    let isReady = CUDAEvent(on: gpu, timing: false)
    isOut = CUDAEvent(on: gpu, timing: false)
    gpu.stream.record(isReady)
    gpu.outStream.wait(isReady)
    gpu.copy(from: tensor.address, to: host.pointer, bytes: tensor.byteCount, on: gpu.outStream)
    gpu.outStream.record(isOut)
    previous?.letGo()
  }

  /// Gives the GPU's memory back, behind the copy. Called one block later, when the copy has long run.
  private func letGo() {
    guard source != nil else { return }
    device.gpu.stream.wait(isOut)
    source = nil
  }

  /// Queues the copy back to the GPU.
  private func fetch() {
    guard fetched == nil, source == nil else { return }
    let gpu = device.gpu
    let tensor = Tensor(uninitialized: shape, dtype, on: device)
    let (isFree, isIn) = (CUDAEvent(on: gpu, timing: false), CUDAEvent(on: gpu, timing: false))
    gpu.stream.record(isFree)
    gpu.inStream.wait(isFree)
    gpu.inStream.wait(isOut)
    gpu.copy(from: host.pointer, to: tensor.address, bytes: tensor.byteCount, on: gpu.inStream)
    gpu.inStream.record(isIn)
    fetched = (tensor, isIn)
  }

  /// Starts fetching the tensor that backward takes after this one.
  var fetchNext: () -> Void { { [previous] in previous?.fetch() } }

  /// The tensor, ready for what is queued from now on.
  func take() -> Tensor {
    if let source {
      self.source = nil
      return source
    }
    fetch()
    guard let fetched else { preconditionFailure("an offloaded tensor was neither kept nor fetched") }
    self.fetched = nil
    isBack = fetched.isIn
    device.gpu.stream.wait(fetched.isIn)
    return fetched.tensor
  }

  deinit {
    // The host's memory goes back to a pool: nothing may be on its way to or from it.
    guard let last = isBack ?? fetched?.isIn ?? (isOut.isDone ? nil : isOut), !last.isDone else { return }
    let host = host
    OffloadedTensor.retired.withLock { $0.append((host, last)) }
  }
}
