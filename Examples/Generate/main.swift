// Streams a model's answer to a prompt.
//
//   swift run -c release GenerateExample Nestling/model "Who are you?"
import Swiftlet

let arguments = CommandLine.arguments.dropFirst()
guard arguments.count == 2, let folder = arguments.first, let prompt = arguments.last else {
  print("usage: GenerateExample MODEL PROMPT")
  throw ExampleError.usage
}

let model = try await LanguageModel.load(folder)
var options = GenerationOptions()
options.maximumTokens = 100
options.sampling.temperature = 0.8
options.sampling.topP = 0.95
options.sampling.seed = 7

for try await piece in model.generate(prompt, options: options) {
  print(piece, terminator: "")
}
print()

enum ExampleError: Error { case usage }
