import SwiftletLayers
import SwiftletTensorCore

/// Mean squares of the inputs of linear layers, gathered while a text passes. An error of a weight moves an output by as much as its input is large:
/// Σ_tokens (Σᵢ (w′ᵢ − wᵢ) xᵢ)² is Σᵢ (w′ᵢ − wᵢ)² · Σ_tokens xᵢ² where inputs know nothing of each other.
final class InputSquares {
  /// What is added to each mean, as a share of the mean of all of a layer: no input may count for nothing because this text never used it.
  private static let share = 0.01
  private let names: Set<String>
  private var sums: [String: (tokens: Int, squares: [Double])] = [:]

  /// - Parameter names: of the weights whose inputs are wanted.
  init(of names: Set<String>) { self.names = names }

  /// Adds an input [tokens, in] of a layer.
  func add(_ layer: Linear, _ input: Tensor) {
    let name = layer.weight.name
    guard names.contains(name) else { return }
    let (numbers, width) = (input.moved(to: .cpu).converted(to: .float32).array(Float.self), layer.inputs)
    var (tokens, squares) = sums.removeValue(forKey: name) ?? (0, [Double](repeating: 0, count: width))
    for start in stride(from: 0, to: numbers.count, by: width) {
      for column in 0..<width { squares[column] += Double(numbers[start + column]) * Double(numbers[start + column]) }
      tokens += 1
    }
    sums[name] = (tokens, squares)
  }

  /// By the weight's name; without the layers that no token has met, as experts may be.
  var means: [String: [BFloat16]] {
    sums.filter { $0.value.tokens > 0 }.mapValues { tokens, squares in
      let floor = Self.share * squares.reduce(0, +) / Double(squares.count)
      return squares.map { BFloat16(Float(($0 + floor) / Double(tokens))) }
    }
  }
}
