import SwiftletCPU
import SwiftletCUDA

/// A dense array of numbers in row-major order without gaps: a shape, a format, and a place in a `Storage`.
///
/// Copying a tensor copies the reference, not the numbers. A tensor made by an op on a tape carries its `trace`, by which the gradient
/// finds its way back; `detached` drops it.
public struct Tensor {
  /// The bytes; shared by all views.
  public private(set) var storage: Storage
  /// Place of the first element in `storage`, in bytes.
  public let byteOffset: Int
  /// Sizes of the axes.
  public let shape: Shape
  /// Format of the elements.
  public let dtype: DType
  /// Where this tensor stands on a tape; nil off tape.
  public internal(set) var trace: Trace?

  /// A view of `storage`.
  /// - Precondition: the bytes from `byteOffset` on hold the whole shape.
  public init(_ storage: Storage, byteOffset: Int = 0, shape: Shape, dtype: DType) {
    precondition(
      byteOffset >= 0 && byteOffset + shape.count * dtype.size <= storage.byteCount,
      "tensor \(shape) \(dtype) at byte \(byteOffset) does not fit in \(storage.byteCount) bytes")
    self.storage = storage
    self.byteOffset = byteOffset
    self.shape = shape
    self.dtype = dtype
  }

  /// New memory, contents undefined.
  public init(uninitialized shape: Shape, _ dtype: DType = .float32, part: MemoryPart = .activations, on device: Device = .cpu) {
    self.init(Storage(byteCount: shape.count * dtype.size, part: part, on: device), shape: shape, dtype: dtype)
  }

  /// New memory, all zero.
  public init(zeros shape: Shape, _ dtype: DType = .float32, part: MemoryPart = .activations, on device: Device = .cpu) {
    self.init(uninitialized: shape, dtype, part: part, on: device)
    fillZero()
  }

  /// New memory holding `elements` in row-major order.
  /// - Precondition: there are as many elements as the shape has places.
  public init<Element: TensorElement>(_ elements: [Element], _ shape: Shape, part: MemoryPart = .activations, on device: Device = .cpu) {
    precondition(elements.count == shape.count, "\(elements.count) elements for shape \(shape)")
    self.init(uninitialized: shape, Element.dtype, part: part, on: device)
    elements.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress, !bytes.isEmpty else { return }
      if device == .cpu {
        storage.pointer.copyMemory(from: base, byteCount: bytes.count)
      } else {
        gpu.copy(from: base, to: address, bytes: bytes.count)
      }
    }
  }

  /// An empty tensor that stands where another was taken away.
  init(noneOf dtype: DType) { self.init(Storage.empty, shape: [0], dtype: dtype) }

  /// Whether a gradient flows to this tensor.
  public var needsGradient: Bool { trace?.needsGradient ?? false }

  /// Where the elements lie.
  public var device: Device { storage.device }
  /// The GPU that holds the elements.
  /// - Precondition: one does.
  public var gpu: CUDADevice { storage.device.gpu }
  /// The first element on the GPU.
  /// - Precondition: the elements lie on one.
  public var address: DevicePointer { storage.address + byteOffset }

  /// Number of elements.
  public var count: Int { shape.count }
  /// Size of the elements in bytes.
  public var byteCount: Int { shape.count * dtype.size }

  /// The elements, to read or, where the caller owns the tensor alone, to write. Valid while a tensor of this storage lives: never take
  /// them from a temporary.
  /// - Precondition: `Element` is the tensor's format.
  public func elements<Element: TensorElement>(_ type: Element.Type = Element.self) -> UnsafeMutableBufferPointer<Element> {
    precondition(Element.dtype == dtype, "\(Element.dtype) elements wanted of a tensor of \(dtype), shape \(shape)")
    return UnsafeMutableBufferPointer(start: (storage.pointer + byteOffset).assumingMemoryBound(to: Element.self), count: count)
  }

  /// The elements of a float32 tensor.
  public var floats: UnsafeMutableBufferPointer<Float> { elements(Float.self) }

  /// The one element of a float32 tensor. Waits for a GPU.
  public var scalar: Float {
    precondition(count == 1, "one number is wanted of a tensor of shape \(shape)")
    return array(Float.self)[0]
  }

  /// A copy of the elements as an array. Waits for a GPU.
  public func array<Element: TensorElement>(_ type: Element.Type = Element.self) -> [Element] {
    let here = moved(to: .cpu, part: .workspace)
    return withExtendedLifetime(here.storage) { Array(here.elements(type)) }
  }

  /// The elements on another device, off tape; the tensor itself where it is there already. Waits for a GPU when it copies to the host.
  public func moved(to device: Device, part: MemoryPart = .activations) -> Tensor {
    if device == self.device { return detached }
    let copy = Tensor(uninitialized: shape, dtype, part: part, on: device)
    if byteCount == 0 { return copy }
    switch (self.device, device) {
    case (.cpu, _): copy.gpu.copy(from: storage.pointer + byteOffset, to: copy.address, bytes: byteCount)
    case (_, .cpu): gpu.copy(from: address, to: copy.storage.pointer, bytes: byteCount)
    default:
      let host = moved(to: .cpu, part: .workspace)
      return host.moved(to: device, part: part)
    }
    return copy
  }

  /// Overwrites the elements with those of `source`, bytes as they are, from and to any device.
  /// - Precondition: the same format and number of elements.
  public func copyElements(of source: Tensor) {
    precondition(source.dtype == dtype && source.count == count, "\(source.dtype) \(source.shape) copied to \(dtype) \(shape)")
    if byteCount == 0 { return }
    switch (source.device, device) {
    case (.cpu, .cpu): (storage.pointer + byteOffset).copyMemory(from: source.storage.pointer + source.byteOffset, byteCount: byteCount)
    case (.cpu, _): gpu.copy(from: source.storage.pointer + source.byteOffset, to: address, bytes: byteCount)
    case (_, .cpu): source.gpu.copy(from: source.address, to: storage.pointer + byteOffset, bytes: byteCount)
    default: gpu.copy(from: source.address, to: address, bytes: byteCount)
    }
  }

  /// Zeroes the whole storage.
  package func fillZero() {
    if storage.byteCount == 0 { return }
    if device == .cpu {
      storage.pointer.initializeMemory(as: UInt8.self, repeating: 0, count: storage.byteCount)
    } else {
      gpu.fill(storage.address, byte: 0, bytes: storage.byteCount)
    }
  }

  /// The same elements, off tape.
  public var detached: Tensor {
    var copy = self
    copy.trace = nil
    return copy
  }

  /// The same elements under another shape; stays on tape (the gradient takes this shape's memory as it is).
  /// - Precondition: the number of elements is the same.
  public func reshaped(_ shape: Shape) -> Tensor {
    precondition(shape.count == count, "shape \(self.shape) cannot become \(shape)")
    var view = Tensor(storage, byteOffset: byteOffset, shape: shape, dtype: dtype)
    view.trace = trace
    return view
  }

  /// A view of consecutive entries of the outermost axis, off tape.
  public func rows(_ range: Range<Int>) -> Tensor {
    precondition(shape.rank > 0 && range.lowerBound >= 0 && range.upperBound <= shape[0], "rows \(range) of shape \(shape)")
    let row = shape[0] == 0 ? 0 : byteCount / shape[0]
    return Tensor(
      storage, byteOffset: byteOffset + range.lowerBound * row, shape: Shape([range.count] + shape.dimensions.dropFirst()), dtype: dtype)
  }

  /// A copy in new memory, off tape.
  public func copied(part: MemoryPart = .activations) -> Tensor {
    let copy = Tensor(uninitialized: shape, dtype, part: part, on: device)
    if byteCount == 0 { return copy }
    if device == .cpu {
      copy.storage.pointer.copyMemory(from: storage.pointer + byteOffset, byteCount: byteCount)
    } else {
      gpu.copy(from: address, to: copy.address, bytes: byteCount)
    }
    return copy
  }

  /// Whether an op may overwrite the elements: no other reference, whole storage, not a file.
  public mutating func isUniquelyOwned() -> Bool {
    !storage.isView && byteCount == storage.byteCount && isKnownUniquelyReferenced(&storage)
  }

  /// Memory for a result of this shape that is computed from this tensor place by place, in float32 on the CPU, in the tensor's own format
  /// on a GPU: the tensor itself where it is owned alone.
  public mutating func target() -> Tensor {
    let wanted = device == .cpu ? DType.float32 : dtype
    return dtype == wanted && isUniquelyOwned() ? detached : Tensor(uninitialized: shape, wanted, on: device)
  }
}
