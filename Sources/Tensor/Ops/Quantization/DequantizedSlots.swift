import SwiftletCPU
import SwiftletCUDA
import SwiftletTensorCore
import Synchronization

/// Buffers into which frozen weights are dequantised in a stream of their own, while the products before them still run.
///
/// A slot is written as soon as the last product that read it is done, so with two of them the dequantisation of a weight hides behind the
/// product with the one before: the host queues far ahead of the GPU. Without slots each weight is dequantised between two products, into
/// memory that is given back at once.
final class DequantizedSlots {
  private struct Slot {
    var storage: Storage?
    let isReady: CUDAEvent
    let isFree: CUDAEvent
  }

  private static let known = Mutex<[Device: DequantizedSlots]>([:])
  private let device: Device
  private let side: CUDAStream
  private var slots: [Slot]
  private var next = 0

  private init(_ device: Device, count: Int, side: CUDAStream) {
    self.device = device
    self.side = side
    slots = (0..<count).map { _ in
      Slot(isReady: CUDAEvent(on: device.gpu, timing: false), isFree: CUDAEvent(on: device.gpu, timing: false))
    }
  }

  /// The slots of a GPU; nil where it has none.
  static func of(_ device: Device) -> DequantizedSlots? {
    let count = device.gpu.dequantizationSlots
    guard count > 0 else { return nil }
    return known.withLock { known in
      if let slots = known[device], slots.slots.count == count { return slots }
      guard let side = try? CUDAStream(on: device.gpu) else { return nil }
      let made = DequantizedSlots(device, count: count, side: side)
      known[device] = made
      return made
    }
  }

  static func forget(_ device: Device) { known.withLock { $0[device] = nil } }

  /// Lets `write` fill memory of `byteCount` in the side stream, and `body` queue what reads it.
  func use(_ byteCount: Int, write: (Storage) -> Void, _ body: (Storage) -> Void) {
    let gpu = device.gpu
    let index = next
    next = (next + 1) % slots.count
    if let storage = slots[index].storage, storage.byteCount >= byteCount {
      side.wait(slots[index].isFree)
    } else {
      slots[index].storage = nil
      slots[index].storage = Storage(byteCount: byteCount, part: .workspace, on: device)
      // The memory is there from this place of the computation on.
      gpu.stream.record(slots[index].isReady)
      side.wait(slots[index].isReady)
    }
    guard let storage = slots[index].storage else { return }
    gpu.launching(on: side) { write(storage) }
    side.record(slots[index].isReady)
    gpu.stream.wait(slots[index].isReady)
    body(storage)
    gpu.stream.record(slots[index].isFree)
    // An allocation that failed must not be taken for memory later.
    if gpu.hasFailed { slots[index].storage = nil }
  }
}

/// Gives back the memory of a GPU's slots; the next weight takes it anew.
package func forgetDequantizedSlots(on device: Device) { DequantizedSlots.forget(device) }

extension LinearWeight {
  /// Lets `body` queue products with the weight as numbers: `write` puts it where it likes in memory of `elements` numbers. A quantised
  /// weight goes through the slots of the GPU, else through memory of its own.
  func withNumbers(_ elements: Int, _ dtype: DType, on device: Device, write: (Storage) -> Void, _ body: (Storage) -> Void) {
    let bytes = elements * dtype.size
    if quantized != nil, let slots = DequantizedSlots.of(device) { return slots.use(bytes, write: write, body) }
    let storage = Storage(byteCount: bytes, part: .workspace, on: device)
    write(storage)
    body(storage)
  }

  /// Lets `body` queue products with the weight [out, in] in `dtype` on a GPU.
  func withDense(_ dtype: DType, on device: Device, _ body: (Tensor) -> Void) {
    if case .dense = self { return body(dense(dtype, on: device)) }
    withNumbers(outputs * inputs, dtype, on: device) { storage in
      write(into: Tensor(storage, shape: shape, dtype: dtype))
    } _: { storage in
      body(Tensor(storage, shape: shape, dtype: dtype))
    }
  }
}
