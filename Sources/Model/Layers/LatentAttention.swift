import SwiftletOps
import SwiftletTensorCore

/// What a multi-head latent attention layer looks like.
public struct LatentAttentionShape: Hashable, Sendable {
  /// Width of the stream.
  public var hidden: Int
  /// Number of heads.
  public var heads: Int
  /// Width of the latent that queries are made from; nil where they are made from the stream.
  public var queryRank: Int?
  /// Width of the latent that keys and values are made from.
  public var keyValueRank: Int
  /// Features of a head's query and key that do not turn.
  public var plain: Int
  /// Features of a head's query that turn, and of the one key part that turns, which all heads share; even.
  public var turned: Int
  /// Features of a head's value.
  public var value: Int
  /// Factor of the scores.
  public var scale: Float
  /// Whether the projections out of the stream and back into it have a bias.
  public var bias = false
  /// ε of the latents' norms.
  public var epsilon: Float = 1e-6

  /// A shape with scale 1/√(plain + turned).
  public init(hidden: Int, heads: Int, queryRank: Int?, keyValueRank: Int, plain: Int, turned: Int, value: Int) {
    (self.hidden, self.heads, self.queryRank, self.keyValueRank) = (hidden, heads, queryRank, keyValueRank)
    (self.plain, self.turned, self.value) = (plain, turned, value)
    scale = 1 / Float(plain + turned).squareRoot()
  }

  /// Features of a head's query and key.
  public var query: Int { plain + turned }
}

/// Multi-head latent attention (DeepSeek-V2, 2024): queries, keys and values are made from narrow latents; a part of each query and one key part
/// that all heads share carry the positions.
///
/// Keys and values are written out for every head, in training and in the cache.
public final class LatentAttention: SelfAttention {
  private enum Queries { case direct(Linear), latent(down: Linear, norm: RMSNorm, up: Linear) }

  /// The path in Hugging Face files.
  public let path: String
  let layer: Int
  package let shape: LatentAttentionShape
  private let rotary: Rotary
  private let queries: Queries
  private let keyValueDown: Linear
  private let keyValueNorm: RMSNorm
  private let keyValueUp: Linear
  private let output: Linear

  /// Makes `q_a_proj q_a_layernorm q_b_proj` (or `q_proj`), `kv_a_proj_with_mqa kv_a_layernorm kv_b_proj` and `o_proj` in `scope`.
  /// - Precondition: `rotary` turns `shape.turned` features.
  public init(_ shape: LatentAttentionShape, layer: Int, rotary: Rotary, _ scope: ParameterScope) {
    precondition(rotary.dimension == shape.turned, "a rotary of \(rotary.dimension) for \(shape.turned) features")
    path = scope.path
    (self.layer, self.shape, self.rotary) = (layer, shape, rotary)
    let width = shape.heads * shape.query
    if let rank = shape.queryRank {
      queries = .latent(
        down: scope.linear("q_a_proj", in: shape.hidden, out: rank, bias: shape.bias),
        norm: scope.rmsNorm("q_a_layernorm", rank, epsilon: shape.epsilon), up: scope.linear("q_b_proj", in: rank, out: width))
    } else {
      queries = .direct(scope.linear("q_proj", in: shape.hidden, out: width))
    }
    keyValueDown = scope.linear("kv_a_proj_with_mqa", in: shape.hidden, out: shape.keyValueRank + shape.turned, bias: shape.bias)
    keyValueNorm = scope.rmsNorm("kv_a_layernorm", shape.keyValueRank, epsilon: shape.epsilon)
    keyValueUp = scope.linear("kv_b_proj", in: shape.keyValueRank, out: shape.heads * (shape.plain + shape.value))
    output = scope.linear("o_proj", in: shape.heads * shape.value, out: shape.hidden, bias: shape.bias)
    scope.register(self)
  }

  /// None: projections and norms are modules of their own.
  public var parameters: [Parameter] { [] }
  /// Nothing to replace.
  public func replace(_ old: Parameter, with new: Parameter) {}

  /// Of `norm(x)`, of `x` itself where there is none: `[tokens, hidden]` to `[tokens, hidden]`, added to `residual` where there is one.
  public func callAsFunction(_ x: Tensor, norm: (any Norm)?, _ context: ForwardContext, adding residual: Tensor?) -> Tensor {
    let inputs = context.inTiles(x) { self.project(norm?($0) ?? $0, context) }
    let (q, parts) = (inputs[0], splitColumns(inputs[1], [shape.keyValueRank, shape.turned]))
    let (keys, values) = splitHeads(keyValueUp(keyValueNorm(parts[0]), context), heads: shape.heads, first: shape.plain)
    let k = joinHeads(keys, turned(parts[1], heads: 1, context), heads: shape.heads, sharesB: true)
    return output(attend(turnedQueries(q, context), k, values, context), context, adding: residual)
  }

  /// Queries, and the latent of keys and values with the key part that turns.
  private func project(_ x: Tensor, _ context: ForwardContext) -> [Tensor] {
    func group(_ linear: Linear) -> [Tensor] {
      linearGroup(x, [linear, keyValueDown].map { $0.linearOperands(on: x.trace?.tape, context) })
    }
    switch queries {
    case .direct(let linear): return group(linear)
    case .latent(let down, let norm, let up):
      let both = group(down)
      return [up(norm(both[0]), context), both[1]]
    }
  }

  private func turnedQueries(_ q: Tensor, _ context: ForwardContext) -> Tensor {
    let (plain, second) = splitHeads(q, heads: shape.heads, first: shape.plain)
    return joinHeads(plain, turned(second, heads: shape.heads, context), heads: shape.heads)
  }

  /// Given away, so that the turn may happen in place.
  private func turned(_ x: consuming Tensor, heads: Int, _ context: ForwardContext) -> Tensor {
    let tables = context.tables(rotary)
    return rope(consume x, heads: heads, cos: tables.cos, sin: tables.sin, interleaved: rotary.interleaved)
  }

  private func attend(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ context: ForwardContext) -> Tensor {
    // A GPU's matrix kernels want values as wide as keys: zeros behind them cost less than the kernels for other shapes.
    let room = q.device.isCUDA ? max(0, shape.query - shape.value) : 0
    let zeros = room > 0 ? Tensor(zeros: [v.shape.rows, room], v.dtype, on: v.device) : nil
    let wide = zeros.map { joinHeads(v, $0, heads: shape.heads, sharesB: true) } ?? v
    let options = AttentionOptions(
      heads: shape.heads, keyValueHeads: shape.heads, headDimension: shape.query, scale: shape.scale, valueDimension: shape.value + room)
    let attended: Tensor
    if let cache = context.cache {
      let all = cache.append(layer: layer, keys: k, values: wide, layout: context.layout, window: nil)
      attended = cachedAttention(q, keys: all.keys, values: all.values, queryStarts: context.layout.queryStarts, options)
    } else {
      attended = attention(q, k, wide, layout: context.layout, options)
    }
    return room > 0 ? splitHeads(attended, heads: shape.heads, first: shape.value).first : attended
  }
}
