/// Sizes of a tensor's axes, outermost first.
public struct Shape: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
  /// The size of each axis.
  public let dimensions: [Int]

  /// - Precondition: no size is negative.
  public init(_ dimensions: [Int]) {
    precondition(dimensions.allSatisfy { $0 >= 0 }, "negative size in shape \(dimensions)")
    self.dimensions = dimensions
  }

  /// `[rows, columns]`.
  public init(arrayLiteral elements: Int...) { self.init(elements) }

  /// Number of axes.
  public var rank: Int { dimensions.count }
  /// Number of elements; 1 for a scalar.
  public var count: Int { dimensions.reduce(1, *) }
  /// The size of axis `axis`; negative counts from the end.
  public subscript(axis: Int) -> Int { dimensions[axis < 0 ? axis + dimensions.count : axis] }
  /// Size of the innermost axis; 1 for a scalar.
  public var columns: Int { dimensions.last ?? 1 }
  /// Product of all axes but the innermost.
  public var rows: Int { dimensions.dropLast().reduce(1, *) }
  /// The same shape with another innermost axis.
  public func withColumns(_ columns: Int) -> Shape { Shape(dimensions.dropLast() + [columns]) }
  /// `[4, 2048]`.
  public var description: String { dimensions.description }
}
