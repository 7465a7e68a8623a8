/// One request on its way: its tokens, and how many of them the model has seen.
public final class TokenSequence {
  /// The engine's number for the request, counted from 0.
  public let id: Int
  /// What was asked.
  public let request: GenerationRequest
  /// Prompt and generated tokens.
  public private(set) var tokens: [Int32]
  /// The natural logarithm of each generated token's probability in the model's own distribution.
  public private(set) var logProbabilities: [Float] = []
  /// Why the sequence ended; nil while it runs.
  public private(set) var finishReason: FinishReason?
  /// Number of tokens whose keys and values are in the cache.
  package var computed = 0
  /// The length that rotary scalings went by in the latest pass.
  package var turnedLength = 0

  package init(id: Int, request: GenerationRequest) {
    self.id = id
    self.request = request
    tokens = request.prompt
    if request.maximumTokens <= 0 { finishReason = .length }
  }

  /// The generated tokens, a stop id included.
  public var generated: ArraySlice<Int32> { tokens[request.prompt.count...] }
  /// Tokens that the model must see before the next one can be drawn.
  package var pending: Int { tokens.count - computed }
  /// The most tokens that the cache will ever hold for this sequence: the last token generated is never fed back.
  package var longest: Int { request.prompt.count + max(0, request.maximumTokens - 1) }

  /// Takes the next token and notices the end.
  package func append(_ token: Int32, logProbability: Float) {
    tokens.append(token)
    logProbabilities.append(logProbability)
    if request.stopIDs.contains(token) {
      finishReason = .stop
    } else if generated.count >= request.maximumTokens {
      finishReason = .length
    }
  }

  package func cancel() {
    if finishReason == nil { finishReason = .cancelled }
  }
}
