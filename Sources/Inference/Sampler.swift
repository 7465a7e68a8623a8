import SwiftletOps
import SwiftletTensorCore

/// Draws each sequence's next token by its own options and its own random numbers.
struct Sampler {
  /// Appends a token to each sequence. `logits`: a row for each, of any float format and on any device.
  func draw(_ logits: Tensor, for sequences: [TokenSequence]) {
    let width = logits.shape.columns
    let host = logits.moved(to: .cpu, part: .workspace).float32
    let numbers = host.floats
    for (row, sequence) in sequences.enumerated() {
      let choice = sample(
        logits: Array(numbers[row * width..<(row + 1) * width]), previous: sequence.tokens,
        promptCount: sequence.request.prompt.count, options: sequence.request.sampling,
        random: sequence.request.random, position: sequence.generated.count)
      sequence.append(choice.token, logProbability: choice.logProbability)
    }
  }
}
