import CPlatform
import SwiftletCPU
import SwiftletTensorCore

/// Inverted dropout: an element is zeroed with `probability`, else divided by 1 − `probability`. Which ones is a pure function of `random`
/// and the element's place, so backward and replays need no mask.
public struct Dropout: Sendable, Hashable {
  /// Chance of an element to be zeroed, in [0, 1).
  public let probability: Float
  /// The stream that decides.
  public let random: Random
  /// Rows of the stream before the first row that an op sees: for a part of a batch.
  public var firstRow = 0

  /// - Precondition: `probability` lies in [0, 1).
  public init(probability: Float, random: Random) {
    precondition(probability >= 0 && probability < 1, "dropout probability \(probability) is not in [0, 1)")
    self.probability = probability
    self.random = random
  }

  /// `target = x · mask / (1 − p)` (added to `target` where `accumulate`) for `count` elements from place `first` of the stream on.
  func apply(
    _ x: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>, first: Int, count: Int, accumulate: Bool = false
  ) {
    let keep = 1 / (1 - probability)
    forElements(count) { range in
      let start = range.lowerBound
      swiftlet_dropout(
        x + start, random.seed, random.stream, UInt64(first + start), probability, keep, accumulate, target + start, range.count)
    }
  }

  /// `x · mask / (1 − p)` in new memory where `x` lies; its elements stand from place `first` of the stream on.
  package func dropped(_ x: Tensor, first: Int) -> Tensor {
    let target = Tensor(uninitialized: x.shape, x.dtype, part: .workspace, on: x.device)
    let (rows, columns) = (x.shape.rows, x.shape.columns)
    if x.device.isCUDA {
      apply(DeviceRows(x), to: DeviceRows(target), x.dtype, rows: rows, columns: columns, first: first, on: x.gpu)
    } else {
      apply(x.pointer, to: target.pointer, first: first, count: x.count)
    }
    return target
  }
}
