import SwiftletOps
import SwiftletTensorCore

/// What an attention layer looks like.
public struct AttentionShape: Hashable, Sendable {
  /// Which norm queries and keys pass before they are turned.
  public enum QueryKeyNorm: Hashable, Sendable {
    case none
    /// Over each head on its own (Qwen3).
    case perHead
    /// Over all heads together (OLMo 2).
    case whole
  }

  /// Width of the stream.
  public var hidden: Int
  /// Number of query heads.
  public var heads: Int
  /// Number of key and value heads; divides `heads`.
  public var keyValueHeads: Int
  /// Width of a head.
  public var headDimension: Int
  /// Factor of the scores; 1/√headDimension in most models.
  public var scale: Float
  /// How many tokens back, itself included, a token sees; nil for all.
  public var window: Int?
  /// Scores become cap · tanh(score / cap).
  public var softCap: Float?
  /// Whether q, k and v have a bias.
  public var inputBias = false
  /// Whether the output projection has a bias.
  public var outputBias = false
  /// Whether one projection `qkv_proj` makes all three (Phi-3).
  public var isFused = false
  /// Norms of queries and keys.
  public var queryKeyNorm = QueryKeyNorm.none
  /// ε of those norms.
  public var epsilon: Float = 1e-6
  /// Whether those norms multiply by 1 + weight.
  public var unitOffset = false
  /// Whether each head has a learnt sink that takes part in the softmax (gpt-oss).
  public var hasSinks = false

  /// Plain causal attention with scale 1/√headDimension.
  public init(hidden: Int, heads: Int, keyValueHeads: Int, headDimension: Int) {
    self.hidden = hidden
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.headDimension = headDimension
    scale = 1 / Float(headDimension).squareRoot()
  }
}

/// How the tokens of a block see each other.
public protocol SelfAttention: Module {
  /// Of `norm(x)`, of `x` itself where there is none: `[tokens, hidden]` to `[tokens, hidden]`, added to `residual` where there is one.
  func callAsFunction(_ x: Tensor, norm: (any Norm)?, _ context: ForwardContext, adding residual: Tensor?) -> Tensor
}

extension SelfAttention {
  /// `[tokens, hidden]` to `[tokens, hidden]`.
  public func callAsFunction(_ x: Tensor, norm: (any Norm)? = nil, _ context: ForwardContext) -> Tensor {
    self(x, norm: norm, context, adding: nil)
  }
}

/// Grouped-query attention with rotary positions: projections, norms, turn, attend, project back.
public final class Attention: SelfAttention {
  private enum Inputs { case separate(q: Linear, k: Linear, v: Linear), fused(Linear) }

  /// The path in Hugging Face files.
  public let path: String
  let layer: Int
  package let shape: AttentionShape
  let rotary: Rotary?
  private let inputs: Inputs
  private let output: Linear
  private let queryNorm: RMSNorm?
  private let keyNorm: RMSNorm?
  private var sinks: Parameter?

  /// Makes `q_proj k_proj v_proj o_proj` (or `qkv_proj`), `q_norm k_norm` in `scope`. Without `rotary` positions are not used.
  public init(_ shape: AttentionShape, layer: Int, rotary: Rotary?, _ scope: ParameterScope) {
    path = scope.path
    self.layer = layer
    self.shape = shape
    self.rotary = rotary
    let (width, narrow) = (shape.heads * shape.headDimension, shape.keyValueHeads * shape.headDimension)
    if shape.isFused {
      inputs = .fused(scope.linear("qkv_proj", in: shape.hidden, out: width + 2 * narrow, bias: shape.inputBias))
    } else {
      inputs = .separate(
        q: scope.linear("q_proj", in: shape.hidden, out: width, bias: shape.inputBias),
        k: scope.linear("k_proj", in: shape.hidden, out: narrow, bias: shape.inputBias),
        v: scope.linear("v_proj", in: shape.hidden, out: narrow, bias: shape.inputBias))
    }
    output = scope.linear("o_proj", in: width, out: shape.hidden, bias: shape.outputBias)
    func norm(_ name: String, _ whole: Int) -> RMSNorm? {
      if shape.queryKeyNorm == .none { return nil }
      let dimension = shape.queryKeyNorm == .perHead ? shape.headDimension : whole
      return scope.rmsNorm(name, dimension, epsilon: shape.epsilon, unitOffset: shape.unitOffset)
    }
    queryNorm = norm("q_norm", width)
    keyNorm = norm("k_norm", narrow)
    sinks = shape.hasSinks ? scope.parameter("sinks", [shape.heads], .zeros) : nil
    scope.register(self)
  }

  /// The sinks; the projections and norms are modules of their own.
  public var parameters: [Parameter] { sinks.map { [$0] } ?? [] }
  /// Puts other sinks in the place of these.
  public func replace(_ old: Parameter, with new: Parameter) { if sinks === old { sinks = new } }

  /// Of `norm(x)`, of `x` itself where there is none: `[tokens, hidden]` to `[tokens, hidden]`, added to `residual` where there is one.
  public func callAsFunction(_ x: Tensor, norm: (any Norm)?, _ context: ForwardContext, adding residual: Tensor?) -> Tensor {
    // Taken from the end: each must be the only reference when it is turned.
    var parts = context.inTiles(x) { self.project(norm?($0) ?? $0, context) }
    let v = parts.removeLast()
    let k = turned(normalised(parts.removeLast(), keyNorm), heads: shape.keyValueHeads, context)
    let q = turned(normalised(parts.removeLast(), queryNorm), heads: shape.heads, context)
    return output(attend(q, k, v, context), context, adding: residual)
  }

  /// Queries, keys and values.
  private func project(_ x: Tensor, _ context: ForwardContext) -> [Tensor] {
    switch inputs {
    case .separate(let q, let k, let v):
      return linearGroup(x, [q, k, v].map { $0.linearOperands(on: x.trace?.tape, context) })
    case .fused(let qkv):
      let narrow = shape.keyValueHeads * shape.headDimension
      return splitColumns(qkv(x, context), [shape.heads * shape.headDimension, narrow, narrow])
    }
  }

  private func normalised(_ x: consuming Tensor, _ norm: RMSNorm?) -> Tensor {
    guard let norm else { return x }
    if shape.queryKeyNorm == .whole { return norm(x) }
    let whole = x.shape
    return norm(x.reshaped([x.count / shape.headDimension, shape.headDimension])).reshaped(whole)
  }

  /// Given away, so that the turn may happen in place.
  private func turned(_ x: consuming Tensor, heads: Int, _ context: ForwardContext) -> Tensor {
    guard let rotary else { return x }
    let tables = context.tables(rotary)
    return rope(consume x, heads: heads, cos: tables.cos, sin: tables.sin, interleaved: rotary.interleaved)
  }

  private func attend(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ context: ForwardContext) -> Tensor {
    let options = AttentionOptions(
      heads: shape.heads, keyValueHeads: shape.keyValueHeads, headDimension: shape.headDimension, scale: shape.scale, window: shape.window,
      softCap: shape.softCap)
    let sinks = sinks?.tensor(on: q.trace?.tape)
    guard let cache = context.cache else { return attention(q, k, v, sinks: sinks, layout: context.layout, options) }
    let all = cache.append(layer: layer, keys: k, values: v, layout: context.layout, window: shape.window)
    return cachedAttention(
      q, keys: all.keys, values: all.values, sinks: sinks, queryStarts: context.layout.queryStarts, options)
  }
}
