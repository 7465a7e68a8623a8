import SwiftletOps
import SwiftletTensorCore

/// What one caller wants generated.
public struct GenerationRequest: Sendable {
  /// Token ids of the prompt, at least one.
  public var prompt: [Int32]
  /// How many tokens to generate at most.
  public var maximumTokens: Int
  /// Ids after which generation ends; the id itself is part of the result.
  public var stopIDs: Set<Int32>
  /// How a token is chosen from the logits.
  public var sampling: SamplingOptions
  /// The random numbers of this request. Token `i` takes the numbers at place `i`, so that the result does not depend on what else runs.
  public var random: Random

  /// A request.
  public init(
    prompt: [Int32], maximumTokens: Int, stopIDs: Set<Int32> = [], sampling: SamplingOptions = .init(), random: Random = Random(seed: 0)
  ) {
    self.prompt = prompt
    self.maximumTokens = maximumTokens
    self.stopIDs = stopIDs
    self.sampling = sampling
    self.random = random
  }
}

/// Why a sequence ended.
public enum FinishReason: String, Sendable {
  /// A stop id was generated.
  case stop
  /// The request's number of tokens was reached.
  case length
  /// The caller took the request back.
  case cancelled
}
