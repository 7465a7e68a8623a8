import SwiftletOps
import SwiftletTensorCore

/// One layer of a decoder: `[tokens, hidden]` to `[tokens, hidden]`.
public protocol DecoderBlock {
  /// The block's output for its input.
  func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor
}

/// `x + attention(norm(x))`, then `x + mlp(norm(x))`: Llama and most others.
public struct PreNormBlock: DecoderBlock {
  let attentionNorm: any Norm
  let attention: any SelfAttention
  let feedForwardNorm: any Norm
  let feedForward: any FeedForward
  let residualScale: Float

  /// - Parameter residualScale: what each branch is multiplied by before it is added (Granite).
  public init(
    attentionNorm: any Norm, attention: any SelfAttention, feedForwardNorm: any Norm, feedForward: any FeedForward, residualScale: Float = 1
  ) {
    self.attentionNorm = attentionNorm
    self.attention = attention
    self.feedForwardNorm = feedForwardNorm
    self.feedForward = feedForward
    self.residualScale = residualScale
  }

  /// The block's output.
  public func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor {
    guard residualScale == 1 else {
      let middle = add(x, branch(attention(x, norm: attentionNorm, context)))
      return add(middle, branch(feedForward(feedForwardNorm(middle), context)))
    }
    let middle = attention(x, norm: attentionNorm, context, adding: x)
    if let mlp = feedForward as? GatedMLP, let norm = feedForwardNorm as? RMSNorm, let output = mlp.branch(middle, norm: norm, context) {
      return output
    }
    return add(middle, feedForward(feedForwardNorm(middle), context))
  }

  private func branch(_ x: Tensor) -> Tensor { residualScale == 1 ? x : scaled(x, by: residualScale) }
}

/// `x + norm(attention(norm(x)))`, then `x + norm(mlp(norm(x)))`: Gemma 2 and 3, GLM-4; without the norms before them OLMo 2.
public struct SandwichBlock: DecoderBlock {
  let beforeAttention: (any Norm)?
  let attention: Attention
  let afterAttention: any Norm
  let beforeFeedForward: (any Norm)?
  let feedForward: any FeedForward
  let afterFeedForward: any Norm

  /// A block with norms on both sides of each branch.
  public init(
    beforeAttention: (any Norm)?, attention: Attention, afterAttention: any Norm, beforeFeedForward: (any Norm)?,
    feedForward: any FeedForward, afterFeedForward: any Norm
  ) {
    self.beforeAttention = beforeAttention
    self.attention = attention
    self.afterAttention = afterAttention
    self.beforeFeedForward = beforeFeedForward
    self.feedForward = feedForward
    self.afterFeedForward = afterFeedForward
  }

  /// The block's output.
  public func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor {
    let middle = add(x, afterAttention(attention(x, norm: beforeAttention, context)))
    return add(middle, afterFeedForward(feedForward(beforeFeedForward?(middle) ?? middle, context)))
  }
}

/// `x + attention(norm(x)) + mlp(norm(x))`: Cohere.
public struct ParallelBlock: DecoderBlock {
  let norm: any Norm
  let attention: Attention
  let feedForward: any FeedForward

  /// A block whose branches share one norm.
  public init(norm: any Norm, attention: Attention, feedForward: any FeedForward) {
    self.norm = norm
    self.attention = attention
    self.feedForward = feedForward
  }

  /// The block's output.
  public func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor {
    let input = norm(x)
    return add(add(x, attention(input, context)), feedForward(input, context))
  }
}
