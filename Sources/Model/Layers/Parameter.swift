import SwiftletOps
import SwiftletTensorCore

/// A named tensor of a model: its value, whether it is trained, and the gradient that has gathered so far.
///
/// Trainer, engine and exporter hold the same objects. `@unchecked Sendable`: whoever trains owns the model for that time.
public final class Parameter: GradientSink, @unchecked Sendable {
  /// The name in Hugging Face files, `model.layers.0.self_attn.q_proj.weight`.
  public let name: String
  /// Sizes of the axes.
  public let shape: Shape
  /// Whether it is no weight but a number that belongs to the model (a router's correction): full training leaves it as it is.
  public let isBuffer: Bool
  /// The sum of gradients since it was last set to nil, float32; nil where none has come. Of a paged parameter it lies in pinned host memory
  /// and may be read once `PageQueue.finish` was called.
  public var gradient: Tensor? {
    get { hasPagedGradient ? pagedGradient?.value : ownGradient }
    set {
      ownGradient = newValue
      hasPagedGradient = false
    }
  }
  private var ownGradient: Tensor?
  private var pagedGradient: PagedGradient?
  private var hasPagedGradient = false
  /// Whether `tensor(on:)` asks for a gradient. Set it with `makeTrainable` or `freeze`.
  public private(set) var isTrainable = false
  /// Goes up with every change of the value, so that caches know what older weights computed.
  public private(set) var version = 0
  /// Where the value lies.
  public private(set) var device = Device.cpu
  private var stored: Tensor?
  /// The value in few bits; nil where it is dense.
  public private(set) var quantized: QuantizedMatrix?
  /// The format in which passes on a GPU read a trained value; nil for the value's own.
  private var computeType: DType?
  private var rounded: (version: Int, value: Tensor)?

  /// A parameter; without a value it has only a shape.
  /// - Precondition: the value has the shape.
  public init(name: String, shape: Shape, value: Tensor? = nil, isBuffer: Bool = false) {
    precondition(value == nil || value?.shape == shape, "\(name): value of shape \(String(describing: value?.shape)), wanted \(shape)")
    self.name = name
    self.shape = shape
    self.isBuffer = isBuffer
    stored = value?.detached
    device = value?.device ?? .cpu
  }

  /// Whether there is a value: false in shape-only mode.
  public var isMaterialized: Bool { stored != nil || quantized != nil }
  /// Format of the value, of a quantised one its numbers' (float32); nil in shape-only mode.
  public var dtype: DType? { stored?.dtype ?? quantized.map { _ in .float32 } }
  /// Bytes of the value in memory; nil in shape-only mode.
  public var byteCount: Int? { stored?.byteCount ?? quantized?.byteCount }

  /// The numbers, as stored (float32, bfloat16 or float16); float32 where trainable. Of a quantised value a copy, written out in float32 in
  /// host memory.
  /// - Precondition: the parameter is materialised.
  public var value: Tensor {
    get {
      if let quantized { return quantized.moved(to: .cpu).dequantized() }
      guard let stored else { preconditionFailure("\(name) has no value: the model was made from shapes only") }
      return stored
    }
    set {
      precondition(newValue.shape == shape, "\(name): value of shape \(newValue.shape), wanted \(shape)")
      if isPaged, let stored {
        device.gpu.synchronize()
        stored.copyElements(of: newValue)
        version += 1
        return
      }
      stored = newValue.moved(to: device, part: isTrainable ? .adapter : .weights)
      quantized = nil
      version += 1
    }
  }

  /// The value for use in a pass: a leaf of `tape` where trainable, otherwise plain. On a GPU a trained matrix is given rounded to
  /// the format that the model computes in; its gradient is float32 all the same.
  public func tensor(on tape: Tape?) -> Tensor {
    let value = computeValue
    guard isTrainable, let tape else { return value }
    return tape.watch(value, for: self)
  }

  /// The value as linear ops take it.
  public func weight(on tape: Tape?) -> LinearWeight {
    if let quantized { return .quantized(quantized) }
    return .dense(tensor(on: tape))
  }

  /// Gives the memory of a value that is a view of a mapped file back to the system, which reads it again for the next pass.
  package func releasePages() {
    stored?.storage.releasePages()
    quantized?.tensors.forEach { $0.storage.releasePages() }
  }

  /// Gives a parameter that has only a shape its first value; the version stays 0.
  func start(at value: Tensor) {
    precondition(value.shape == shape, "\(name): value of shape \(value.shape), wanted \(shape)")
    stored = value.detached
    device = value.device
  }

  /// Puts a quantised value in the place of the present one. It stays frozen.
  /// - Precondition: the shapes agree and the parameter is not trained.
  public func store(_ matrix: QuantizedMatrix) {
    precondition(matrix.shape == shape && !isTrainable, "\(name): \(matrix.shape) in the place of \(shape)")
    releasePages()
    quantized = matrix
    stored = nil
    rounded = nil
  }

  private var computeValue: Tensor {
    let value = value
    guard let computeType, shape.rank > 1, device.isCUDA, isTrainable, value.dtype != computeType || isPaged else { return value }
    if let rounded, rounded.version == version { return rounded.value }
    let copy = rounded?.value ?? Tensor(uninitialized: shape, computeType, part: .adapter, on: device)
    copy.assignCast(of: isPaged ? value.moved(to: device, part: .workspace) : value)
    // An allocation that failed must not be taken for a copy later.
    if !device.gpu.hasFailed { rounded = (version, copy) }
    return copy
  }

  /// Whether the trained value and its gradient lie in pinned host memory, and only a rounded copy on the GPU.
  public var isPaged: Bool { pagedGradient != nil }

  /// Moves the trained value of a matrix on a GPU, and from now on its gradients, to pinned host memory: the optimizer reaches them over the
  /// bus, passes read the rounded copy that stays.
  public func page() {
    guard isTrainable, shape.rank > 1, device.isCUDA, !isPaged, let stored else { return }
    _ = computeValue
    let host = stored.pinned(for: device)
    // Small values are copied in order; the copy must have left before the source goes.
    device.gpu.synchronize()
    self.stored = host
    pagedGradient = PagedGradient(shape, on: device)
  }

  /// The rounded copy that passes on a GPU read, up to date; nil where they read the value itself. An optimizer may write it together with
  /// the value and then calls `noteUpdate`.
  public var computeCopy: Tensor? {
    let read = computeValue
    return read.storage === value.storage ? nil : read
  }

  /// Counts the version up after the value was written, and with it `computeCopy` where there is one.
  public func noteUpdate() {
    version += 1
    if let rounded { self.rounded = (version, rounded.value) }
  }

  /// Moves the value to `device`; passes there compute in `computeType`. A frozen float32 or 16-bit matrix is rounded to that format.
  public func move(to device: Device, computing computeType: DType) {
    self.device = device
    if let quantized {
      self.quantized = quantized.moved(to: device)
      if device.isCUDA { quantized.tensors.forEach { $0.storage.releasePages() } }
    }
    guard let stored else { return }
    self.computeType = computeType
    rounded = nil
    let isMatrix = shape.rank > 1
    let moved = stored.moved(to: device, part: isTrainable ? .adapter : .weights)
    if device.isCUDA { stored.storage.releasePages() }
    self.stored = device.isCUDA && isMatrix && !isTrainable ? moved.cast(to: computeType, part: .weights) : moved
    gradient = nil
  }

  /// Moves a frozen value on a GPU to pinned host memory, from which the GPU reads it over the bus.
  func moveToHost() {
    guard device.isCUDA, !isTrainable else { return }
    let (host, codes) = (stored?.pinned(for: device), quantized?.tensors.map { $0.pinned(for: device) })
    device.gpu.synchronize()
    stored = host
    quantized = codes.flatMap { quantized?.with($0) }
  }

  /// The value in host memory: the value itself, or a copy of what lies on a GPU.
  public var hostValue: Tensor {
    // The GPU writes paged values itself.
    if isPaged { device.gpu.synchronize() }
    return value.moved(to: .cpu, part: .workspace)
  }

  /// Makes the value a float32 tensor of its own (where there is one) and asks for gradients from now on.
  public func makeTrainable() {
    precondition(quantized == nil, "\(name) is quantised: it cannot be trained, put an adapter on it")
    precondition(!isBuffer, "\(name) is a buffer: it has no gradient")
    isTrainable = true
    guard let stored, stored.dtype != .float32 || stored.storage.isView else { return }
    self.stored = device.isCUDA ? stored.cast(to: .float32, part: .adapter) : stored.converted(to: .float32)
  }

  /// Asks for no more gradients and drops what has gathered.
  public func freeze() {
    isTrainable = false
    gradient = nil
  }

  /// Lets `body` write the value in place (the optimizer's step) and counts the version up.
  public func update(_ body: (Tensor) -> Void) {
    body(value)
    version += 1
  }

  /// Gives the gradient away to an op that adds to it and brings it back.
  public func lend() -> Tensor? {
    defer { gradient = nil }
    return hasPagedGradient ? pagedGradient?.fetched() : ownGradient
  }

  /// Adds a gradient in place.
  public func accumulate(_ new: consuming Tensor) {
    var new = new
    if let pagedGradient {
      if hasPagedGradient { new.add(pagedGradient.fetched()) }
      pagedGradient.store(new)
      hasPagedGradient = true
      return
    }
    guard let gradient = ownGradient else {
      ownGradient = new.isUniquelyOwned() ? new : new.copied(part: .gradients)
      return
    }
    gradient.add(new)
  }
}
