// A training loop by hand: forward, loss, backward, update. Teaches a small random model to count.
//
//   swift run -c release CustomLoopExample
import Swiftlet

let config = try ModelConfig(
  parsing: """
    {"model_type": "llama", "vocab_size": 32, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
     "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "initializer_range": 0.05}
    """)
let model = try ModelRegistry.make(config: config, source: .random(seed: 1))
try model.makeAllTrainable()

// Four sequences in one stream, without padding: 0 1 2 …, 5 6 7 …, and so on.
let length = 16
let ids = [0, 5, 11, 17].flatMap { start in (0..<length).map { Int32((start + $0) % 32) } }
let lengths = Array(repeating: length, count: 4)
let targets = shiftedTargets(labels: ids, lengths: lengths)

let moments = model.parameters.map { (parameter: $0, m: Tensor(zeros: $0.shape), v: Tensor(zeros: $0.shape)) }
for step in 1...60 {
  let tape = Tape()
  let (sum, count) = model.loss(ids: ids, targets: targets, ForwardContext(lengths: lengths, tape: tape))
  tape.backward(from: sum, seed: Tensor([1 / Float(count)], [1]))
  for (parameter, m, v) in moments {
    guard let gradient = parameter.gradient else { continue }
    parameter.update { AdamW.update(parameter: $0, gradient: gradient, m: m, v: v, step: step, learningRate: 3e-3) }
  }
  model.clearGradients()
  if step % 10 == 0 { print("step \(step)  loss \(sum.floats[0] / Float(count))") }
}

let request = GenerationRequest(prompt: [7, 8, 9], maximumTokens: 5, sampling: .greedy)
print("7 8 9 →", Engine(model: model).run([request])[0].generated.map(String.init).joined(separator: " "))
