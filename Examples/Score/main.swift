// Says which of several sentences a model finds likeliest.
//
//   swift run -c release ScoreExample Nestling/model "The sky is blue." "The sky is bread."
import Swiftlet

let arguments = Array(CommandLine.arguments.dropFirst())
guard arguments.count >= 2 else {
  print("usage: ScoreExample MODEL SENTENCE …")
  throw ExampleError.usage
}

let model = try await LanguageModel.load(arguments[0])
let sentences = Array(arguments.dropFirst())
try Scorer(model, sentences.map { TextRow(.text($0)) }).run { answer in
  let sentence = sentences[answer["index"]?.int ?? 0]
  let perplexity = answer["perplexity"]?.double ?? .nan
  print("perplexity \(perplexity): \(sentence)")
}

enum ExampleError: Error { case usage }
