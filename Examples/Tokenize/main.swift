// Shows how a tokenizer cuts text, and that it puts it together again.
//
//   swift run -c release TokenizeExample Nestling/model "Hello there, Ida."
import Swiftlet

let arguments = Array(CommandLine.arguments.dropFirst())
guard arguments.count == 2 else {
  print("usage: TokenizeExample FOLDER TEXT")
  throw ExampleError.usage
}

let tokenizer = try Tokenizer.load(folder: arguments[0])
let encoding = try tokenizer.encode(arguments[1], addSpecialTokens: true, specialTokensAsText: false)
for (id, (token, place)) in zip(encoding.ids, zip(encoding.tokens, encoding.offsets)) {
  print("\(id)\t\(token.debugDescription)\t\(place.lowerBound)..<\(place.upperBound)")
}
print(tokenizer.decode(encoding.ids, skipSpecialTokens: true))

enum ExampleError: Error { case usage }
