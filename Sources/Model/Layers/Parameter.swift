import SwiftletTensorCore

/// A named tensor of a model: its value, whether it is trained, and the gradient that has gathered so far.
///
/// Trainer, engine and exporter hold the same objects. `@unchecked Sendable`: whoever trains owns the model for that time.
public final class Parameter: GradientSink, @unchecked Sendable {
  /// The name in Hugging Face files, `model.layers.0.self_attn.q_proj.weight`.
  public let name: String
  /// Sizes of the axes.
  public let shape: Shape
  /// The sum of gradients since it was last set to nil, float32; nil where none has come.
  public var gradient: Tensor?
  /// Whether `tensor(on:)` asks for a gradient. Set it with `makeTrainable` or `freeze`.
  public private(set) var isTrainable = false
  /// Goes up with every change of the value, so that caches know what older weights computed.
  public private(set) var version = 0
  private var stored: Tensor?
  /// The format in which passes on a GPU read a trained value; nil for the value's own.
  private var computeType: DType?
  private var rounded: (version: Int, value: Tensor)?

  /// A parameter; without a value it has only a shape.
  /// - Precondition: the value has the shape.
  public init(name: String, shape: Shape, value: Tensor? = nil) {
    precondition(value == nil || value?.shape == shape, "\(name): value of shape \(String(describing: value?.shape)), wanted \(shape)")
    self.name = name
    self.shape = shape
    stored = value?.detached
  }

  /// Whether there is a value: false in shape-only mode.
  public var isMaterialized: Bool { stored != nil }
  /// Format of the value; nil in shape-only mode.
  public var dtype: DType? { stored?.dtype }

  /// The numbers, as stored (float32, bfloat16 or float16); float32 where trainable.
  /// - Precondition: the parameter is materialised.
  public var value: Tensor {
    get {
      guard let stored else { preconditionFailure("\(name) has no value: the model was made from shapes only") }
      return stored
    }
    set {
      precondition(newValue.shape == shape, "\(name): value of shape \(newValue.shape), wanted \(shape)")
      stored = newValue.detached
      version += 1
    }
  }

  /// The value for use in a pass: a leaf of `tape` where trainable, otherwise plain. On a GPU a trained value is given rounded to the
  /// format that the model computes in; its gradient is float32 all the same.
  public func tensor(on tape: Tape?) -> Tensor {
    let value = computeValue
    guard isTrainable, let tape else { return value }
    return tape.watch(value, for: self)
  }

  private var computeValue: Tensor {
    let value = value
    guard let computeType, value.device.isCUDA, isTrainable, value.dtype != computeType else { return value }
    if let rounded, rounded.version == version { return rounded.value }
    let copy = rounded?.value ?? Tensor(uninitialized: shape, computeType, part: .adapter, on: value.device)
    copy.assignCast(of: value)
    rounded = (version, copy)
    return copy
  }

  /// Moves the value to `device`; passes there compute in `computeType`. A frozen float32 or 16-bit matrix is rounded to that format.
  public func move(to device: Device, computing computeType: DType) {
    guard let stored else { return }
    self.computeType = computeType
    rounded = nil
    let isMatrix = shape.rank > 1
    let value = !isTrainable && isMatrix && device.isCUDA && stored.dtype != computeType ? stored.converted(to: computeType) : stored
    self.stored = value.moved(to: device, part: isTrainable ? .adapter : .weights)
    gradient = nil
  }

  /// The value in host memory: the value itself, or a copy of what lies on a GPU.
  public var hostValue: Tensor { value.moved(to: .cpu, part: .workspace) }

  /// Makes the value a float32 tensor of its own (where there is one) and asks for gradients from now on.
  public func makeTrainable() {
    isTrainable = true
    guard let stored, stored.dtype != .float32 || stored.storage.isView else { return }
    self.stored = stored.converted(to: .float32)
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
    return gradient
  }

  /// Adds a gradient in place.
  public func accumulate(_ new: consuming Tensor) {
    var new = new
    guard let gradient else {
      self.gradient = new.isUniquelyOwned() ? new : new.copied(part: .gradients)
      return
    }
    gradient.add(new)
  }
}
