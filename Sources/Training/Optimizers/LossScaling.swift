/// Dynamic loss scaling for float16: the loss is multiplied with a power of two so that small gradients do not vanish. A step whose gradients
/// are not finite is left out and halves the scale; after `growthInterval` good ones in a row it doubles.
///
/// The rule as it is computed on the GPU, where the scale lives with the optimizer's state.
public struct LossScaling: Hashable, Sendable {
  /// The scale.
  public private(set) var scale: Float
  /// Good steps in a row since it last changed.
  public private(set) var goodSteps: Int
  /// Good steps that double it.
  public let growthInterval: Int

  /// PyTorch's numbers unless told otherwise.
  public init(scale: Float = 65536, goodSteps: Int = 0, growthInterval: Int = 2000) {
    precondition(scale >= 1 && growthInterval > 0, "loss scale \(scale), growth after \(growthInterval) steps")
    (self.scale, self.goodSteps, self.growthInterval) = (scale, goodSteps, growthInterval)
  }

  /// Takes note of a step.
  public mutating func note(isFinite: Bool) {
    guard isFinite else {
      (scale, goodSteps) = (max(scale / 2, 1), 0)
      return
    }
    goodSteps += 1
    if goodSteps == growthInterval { (scale, goodSteps) = (min(scale * 2, 0x1p24), 0) }
  }
}
