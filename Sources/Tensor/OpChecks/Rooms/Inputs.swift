import SwiftletOps
import SwiftletTensorCore

/// Normal numbers that depend on the shape and `stream` only.
func normal(_ stream: UInt64, _ shape: Shape, scale: Float = 1) -> Tensor {
  Tensor.normal(shape, standardDeviation: scale, random: Random(seed: 2024, stream: stream))
}

/// The elements in float64.
func doubles(_ tensor: Tensor) -> [Double] { tensor.floats.map(Double.init) }
/// The elements in float32.
func singles(_ tensor: Tensor) -> [Float] { Array(tensor.floats) }

/// Sizes [rows, columns] that every row-wise op is checked at: natural, dividing nothing, one row, none.
let rowShapes: [Shape] = [[8, 64], [33, 127], [1, 48], [0, 16]]
