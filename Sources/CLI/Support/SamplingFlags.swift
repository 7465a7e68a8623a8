import ArgumentParser
import Swiftlet

/// How the next token is chosen.
struct SamplingFlags: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("Tokens to generate at most.", valueName: "n"))
  var maxTokens = 256

  @Option(name: .long, help: ArgumentHelp("0 takes the likeliest token; 1 samples from the model's own distribution.", valueName: "t"))
  var temperature: Float = 0

  @Option(name: .long, help: ArgumentHelp("Keep the likeliest tokens whose probabilities add up to this.", valueName: "p"))
  var topP: Float?

  @Option(name: .long, help: ArgumentHelp("Keep this many of the likeliest tokens.", valueName: "k"))
  var topK: Int?

  @Option(name: .long, help: ArgumentHelp("Keep tokens at least this likely, relative to the likeliest.", valueName: "p"))
  var minP: Float?

  @Option(name: .long, help: ArgumentHelp("Divide the scores of tokens that have occurred.", valueName: "f"))
  var repetitionPenalty: Float?

  @Option(name: .long, help: ArgumentHelp("Take this from the scores of tokens that have been generated.", valueName: "f"))
  var presencePenalty: Float?

  @Option(name: .long, help: ArgumentHelp("Take this from the scores for every time a token has been generated.", valueName: "f"))
  var frequencyPenalty: Float?

  @Option(name: .long, help: ArgumentHelp("The same seed gives the same text.", valueName: "s"))
  var seed: UInt64 = 0

  @Flag(name: .long, help: "Go on after the model has ended its answer.")
  var ignoreEos = false

  func validate() throws {
    func check(_ name: String, _ value: Float?, _ range: ClosedRange<Float>, _ want: String) throws {
      if let value, !range.contains(value) { throw ValidationError("--\(name) is \(value), want \(want)") }
    }
    if maxTokens < 0 { throw ValidationError("--max-tokens is \(maxTokens), want 0 or more") }
    if let topK, topK < 0 { throw ValidationError("--top-k is \(topK), want 0 (off) or more") }
    try check("temperature", temperature, 0...1000, "0 or more")
    try check("top-p", topP, 0...1, "0 to 1")
    try check("min-p", minP, 0...1, "0 to 1")
    try check("repetition-penalty", repetitionPenalty, 1e-3...1000, "more than 0")
    try check("presence-penalty", presencePenalty, -100...100, "-100 to 100")
    try check("frequency-penalty", frequencyPenalty, -100...100, "-100 to 100")
  }

  /// The flags as the library takes them.
  var options: GenerationOptions {
    var options = GenerationOptions()
    options.maximumTokens = maxTokens
    options.ignoresStop = ignoreEos
    options.sampling.temperature = temperature
    options.sampling.seed = seed
    if let topP { options.sampling.topP = topP }
    if let topK { options.sampling.topK = topK }
    if let minP { options.sampling.minP = minP }
    if let repetitionPenalty { options.sampling.repetitionPenalty = repetitionPenalty }
    if let presencePenalty { options.sampling.presencePenalty = presencePenalty }
    if let frequencyPenalty { options.sampling.frequencyPenalty = frequencyPenalty }
    return options
  }
}
