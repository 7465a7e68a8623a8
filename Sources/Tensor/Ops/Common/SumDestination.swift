import SwiftletTensorCore

extension BackwardContext {
  /// Memory that a rule adds the gradient of a parameter to, input `index`: what has arrived for it, or zeros; nil where none is wanted.
  mutating func sum(_ index: Int, _ shape: Shape, on device: Device) -> Tensor? {
    guard needs[index] else { return nil }
    let (target, accumulate) = destination(index, shape, part: .gradients, on: device)
    if !accumulate { target.fillZero() }
    return target
  }
}
