import SwiftletTensorCore

/// How `generate` and `chat` write.
public struct GenerationOptions: Sendable {
  /// Tokens to generate at most.
  public var maximumTokens = 256
  /// How the next token is chosen; its seed is the seed of the first row, and each row has a stream of its own.
  public var sampling = SamplingOptions.greedy
  /// Whether generation goes on after a stop token.
  public var ignoresStop = false

  /// Greedy, at most 256 tokens.
  public init() {}
}

/// An answer to one row.
public struct GeneratedText: Sendable {
  /// The row's number.
  public let index: Int
  /// The answer without special tokens; nil where the model has no tokenizer.
  public let text: String?
  /// The generated ids, a stop token included.
  public let tokens: [Int32]
  /// Why the answer ended.
  public let finishReason: FinishReason

  /// `{"index","text","tokens","finish_reason"}`.
  public var json: JSON {
    .object(
      JSONObject([
        ("index", .int(index)), ("text", text.map(JSON.string) ?? .null), ("tokens", .array(tokens.map { .int(Int($0)) })),
        ("finish_reason", .string(finishReason.rawValue)),
      ]))
  }
}

/// Answers to rows, generated together.
public struct Generator {
  private let model: LanguageModel
  private let requests: [GenerationRequest]

  /// Turns rows into requests.
  /// - Parameter raw: leaves prompts as they are instead of putting them through the chat template.
  /// - Throws: where a row needs a tokenizer or template that is not there, has no token, or an id is not the model's.
  public init(_ model: LanguageModel, _ rows: [TextRow], options: GenerationOptions, raw: Bool = false) throws {
    self.model = model
    let stop = options.ignoresStop ? [] : model.stopIDs
    requests = try rows.enumerated().map { index, row in
      let ids = try model.ids(row, generating: true, raw: raw)
      try model.check(ids, row: index)
      guard !ids.isEmpty else {
        throw Failure("an empty prompt", at: "row \(index)", why: "at least one token is wanted", fix: "write something into the prompt")
      }
      return GenerationRequest(
        prompt: ids, maximumTokens: options.maximumTokens, stopIDs: stop, sampling: options.sampling,
        random: Random(seed: options.sampling.seed, stream: UInt64(index)))
    }
  }

  /// Generates. Answers come in the order of rows, each as soon as it and those before it are there.
  /// - Parameter stream: takes the text of the first row piece by piece.
  public func run(stream: (String) -> Void, finished: (GeneratedText) -> Void) throws {
    let engine = model.engine()
    let sequences = requests.map { engine.add($0) }
    var text = model.text?.tokenizer.makeStream(skipSpecialTokens: true)
    var next = 0
    func handOn() {
      while next < sequences.count, let reason = sequences[next].finishReason {
        finished(model.answer(next, Array(sequences[next].generated), reason))
        next += 1
      }
    }
    while engine.hasWork {
      for event in engine.step() where event.sequence == sequences[0].id && event.finishReason != .stop {
        if let piece = text?.append(Int(event.token)), !piece.isEmpty { stream(piece) }
      }
      if let reason = sequences[0].finishReason, next == 0, let rest = text?.finish(), !rest.isEmpty, reason != .cancelled { stream(rest) }
      handOn()
    }
    handOn()
  }
}
