import SwiftletOps
import SwiftletTensorCore

/// The names that PEFT gives an adapter's tensors, after the module's path.
public struct AdapterNames: Sendable {
  /// Matrix A.
  public let a: String
  /// Matrix B.
  public let b: String
  /// DoRA's magnitude.
  public let magnitude = "lora_magnitude_vector"
  /// Of a linear layer.
  public static let linear = AdapterNames(a: "lora_A.weight", b: "lora_B.weight")
  /// Of an embedding.
  public static let embedding = AdapterNames(a: "lora_embedding_A", b: "lora_embedding_B")
}

extension LoRAAdapter {
  /// Where a new adapter's numbers come from.
  public struct Start: Sendable {
    /// How A is drawn (B on an embedding).
    public let initialization: Initialization
    /// The stream.
    public let random: Random
    /// A start.
    public init(_ initialization: Initialization, _ random: Random) {
      self.initialization = initialization
      self.random = random
    }
  }

  /// A trainable adapter for a weight; without `start` it has only shapes.
  /// - Parameters:
  ///   - weight: `[out, in]` of a linear layer, `[vocabulary, dimension]` of an embedding.
  ///   - shared: another adapter's A, which is this one's too; nil for one of its own.
  ///   - placement: where random numbers are drawn.
  ///   - isDoRA: whether there is a magnitude; it starts as the lengths of the weight's rows (of an embedding's columns).
  public static func make(
    path: String, weight: Parameter, isEmbedding: Bool, rank: Int, alpha: Double, scale: Float, dropout: Float, isDoRA: Bool,
    sharing shared: Parameter? = nil, start: Start?, placement: Placement = Placement()
  ) -> LoRAAdapter {
    let names = isEmbedding ? AdapterNames.embedding : .linear
    let (inputs, outputs) = isEmbedding ? (weight.shape[0], weight.shape[1]) : (weight.shape[1], weight.shape[0])
    func parameter(_ name: String, _ shape: Shape, _ initial: Initialization?) -> Parameter {
      let value = start.flatMap { start in
        initial.map { initial in
          placement.drawsOnDevice
            ? initial.tensor(shape, start.random, placement, .float32, part: .adapter)
            : initial.tensor(shape, start.random, part: .adapter)
        }
      }
      let parameter = Parameter(name: path + "." + name, shape: shape, value: value)
      parameter.makeTrainable()
      return parameter
    }
    let a = shared ?? parameter(names.a, [rank, inputs], isEmbedding ? .zeros : start?.initialization)
    let b = parameter(names.b, [outputs, rank], isEmbedding ? start?.initialization : .zeros)
    let magnitude = isDoRA ? parameter(names.magnitude, [outputs], .ones) : nil
    if let magnitude, start != nil { magnitude.value = rowLengths(weight.hostValue, ofColumns: isEmbedding) }
    return LoRAAdapter(a: a, b: b, magnitude: magnitude, alpha: alpha, scale: scale, dropout: dropout)
  }

  /// L2 norm of each row, or of each column, summed in float64.
  package static func rowLengths(_ weight: Tensor, ofColumns: Bool) -> Tensor {
    let (rows, columns) = (weight.shape[0], weight.shape[1])
    var squares = [Double](repeating: 0, count: ofColumns ? columns : rows)
    for row in 0..<rows {
      let values = weight.rows(row..<(row + 1)).float32
      for (column, value) in values.floats.enumerated() { squares[ofColumns ? column : row] += Double(value) * Double(value) }
    }
    return Tensor(squares.map { Float($0.squareRoot()) }, [squares.count], part: .adapter)
  }
}
