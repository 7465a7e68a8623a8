import SwiftletOps
import SwiftletTensorCore

/// Gives parameters their values by name: a checkpoint. Returns nil, and remembers why, where it cannot.
public protocol ParameterProvider: AnyObject {
  /// The value of the parameter `name`.
  func tensor(_ name: String, shape: Shape) -> Tensor?
  /// The value of the parameter `name` where it is stored quantised; nil where it is not.
  func matrix(_ name: String, shape: Shape) -> QuantizedMatrix?
}

extension ParameterProvider {
  /// Nothing is quantised.
  public func matrix(_ name: String, shape: Shape) -> QuantizedMatrix? { nil }
}

/// Where new parameters get their values.
public enum ParameterSource {
  /// None at all: for planning and for checking a checkpoint before it is read.
  case shapes
  /// Random, each parameter from a stream of its own that the seed and the name determine.
  case random(seed: UInt64)
  /// By name.
  case provider(any ParameterProvider)
}

/// Collects the parameters and modules of a model while it is made.
public final class ModelBuilder {
  /// Where values come from.
  public let source: ParameterSource
  /// Every module, in the order of making.
  public private(set) var modules: [any Module] = []

  /// Where values go.
  public let placement: Placement

  /// A builder with nothing in it.
  public init(_ source: ParameterSource, placement: Placement = Placement()) {
    self.source = source
    self.placement = placement
  }

  /// The scope of the whole model.
  public var root: ParameterScope { ParameterScope(builder: self, path: "") }

  /// - Parameter stays: whether a value that is stored quantised stays so; nil where the layer computes with numbers only.
  func parameter(
    _ name: String, _ shape: Shape, _ initial: Initialization, _ quantization: QuantizationFormat? = nil,
    stays: ((QuantizationFormat) -> Bool)? = nil, isBuffer: Bool = false
  ) -> Parameter {
    let made = Parameter(name: name, shape: shape, isBuffer: isBuffer)
    switch source {
    case .shapes: return made
    case .random(let seed):
      if let stays, let standing = placement.standing(name, shape), stays(standing.format) {
        made.store(standing)
        break
      }
      let random = Random(seed: seed).split(stableHash(name))
      made.start(
        at: placement.drawsOnDevice ? initial.tensor(shape, random, placement, placement.vectorTypes[name]) : initial.tensor(shape, random))
    case .provider(let provider):
      if let stays, let matrix = provider.matrix(name, shape: shape), stays(matrix.format) {
        made.store(matrix)
      } else if let value = provider.tensor(name, shape: shape) {
        made.start(at: value)
      }
    }
    placement.place(made, quantization)
    return made
  }

  func register(_ module: any Module) { modules.append(module) }
}

/// A place in the tree of names: makes layers whose parameters are named when they are made.
///
/// `scope["self_attn"].linear("q_proj", in: 64, out: 64)` makes `….self_attn.q_proj.weight`.
public struct ParameterScope {
  let builder: ModelBuilder
  /// The names so far, joined by dots.
  public let path: String
  /// Standard deviation of random weights (`initializer_range`).
  public var standardDeviation: Float = 0.02

  init(builder: ModelBuilder, path: String) {
    self.builder = builder
    self.path = path
  }

  /// The place `name` below this one; may hold dots.
  public subscript(name: String) -> ParameterScope {
    var inner = ParameterScope(builder: builder, path: path.isEmpty ? name : path + "." + name)
    inner.standardDeviation = standardDeviation
    return inner
  }
  /// The numbered place below this one.
  public subscript(index: Int) -> ParameterScope { self[String(index)] }

  /// A parameter that belongs to this place's module.
  public func parameter(_ name: String, _ shape: Shape, _ initial: Initialization) -> Parameter {
    builder.parameter(self[name].path, shape, initial)
  }

  /// Numbers that belong to this place's module and are never trained; zeros in a random model.
  public func buffer(_ name: String, _ shape: Shape) -> Parameter {
    builder.parameter(self[name].path, shape, .zeros, isBuffer: true)
  }

  /// Adds a module whose parameters were made one by one.
  public func register(_ module: any Module) { builder.register(module) }

  /// `y = x Wᵀ + b` with `weight` [out, in] and, where asked for, `bias` [out].
  /// - Parameter isAdaptable: as `Linear.isAdaptable`.
  public func linear(_ name: String, in inputs: Int, out outputs: Int, bias: Bool = false, isAdaptable: Bool = true) -> Linear {
    let scope = self[name]
    let asked = builder.placement.quantization(of: scope.path, named: scope["weight"].path)
    let linear = Linear(
      path: scope.path,
      // What is stored in no more bits than asked for stays: coding it again would only lose.
      weight: builder.parameter(
        scope["weight"].path, [outputs, inputs], .normal(standardDeviation), asked, stays: { asked?.isFourBit != true || $0.isFourBit }),
      bias: bias ? scope.parameter("bias", [outputs], .zeros) : nil, isAdaptable: isAdaptable)
    register(linear)
    return linear
  }

  /// A linear layer over the weight of another module: a tied head.
  ///
  /// Where the table is to stay on the host and the head to be quantised, the head gets a quantised copy of its own.
  public func tiedLinear(_ name: String, weight: Parameter) -> Linear {
    var weight = weight
    if let matrix = builder.placement.headCopy(of: weight) {
      let table = weight
      weight = Parameter(name: table.name, shape: table.shape)
      weight.store(matrix)
      table.moveToHost()
    }
    let linear = Linear(path: self[name].path, weight: weight, bias: nil)
    register(linear)
    return linear
  }

  /// A table of vectors, `weight` [count, dimension].
  /// - Parameter isTied: whether the head reads the same table.
  public func embedding(_ name: String, count: Int, dimension: Int, scale: Float = 1, isTied: Bool = false) -> Embedding {
    let scope = self[name]
    let weight = builder.parameter(scope["weight"].path, [count, dimension], .normal(standardDeviation), stays: \.isBlocks)
    if builder.placement.keepsEmbeddingOnHost, !isTied { weight.moveToHost() }
    let embedding = Embedding(path: scope.path, weight: weight, scale: scale)
    register(embedding)
    return embedding
  }

  /// Root mean square norm, `weight` [dimension]; with `unitOffset` the factor is 1 + weight (Gemma).
  public func rmsNorm(_ name: String, _ dimension: Int, epsilon: Float, unitOffset: Bool = false) -> RMSNorm {
    let scope = self[name]
    let norm = RMSNorm(
      path: scope.path, weight: scope.parameter("weight", [dimension], unitOffset ? .zeros : .ones), epsilon: epsilon,
      unitOffset: unitOffset)
    register(norm)
    return norm
  }

  /// Layer norm without bias (Cohere), `weight` [dimension].
  public func layerNorm(_ name: String, _ dimension: Int, epsilon: Float, bias: Bool = false) -> LayerNorm {
    let scope = self[name]
    let norm = LayerNorm(
      path: scope.path, weight: scope.parameter("weight", [dimension], .ones),
      bias: bias ? scope.parameter("bias", [dimension], .zeros) : nil, epsilon: epsilon)
    register(norm)
    return norm
  }
}
