// Teaches a model with LoRA, and says how much better it is on rows that it has not seen.
//
//   swift run -c release FineTuneExample Nestling/model Nestling/task/train.jsonl adapter
import Swiftlet

let arguments = Array(CommandLine.arguments.dropFirst())
guard arguments.count == 3 else {
  print("usage: FineTuneExample MODEL ALPACA_ROWS OUTPUT")
  throw ExampleError.usage
}

let model = try await LanguageModel.load(arguments[0], as: .float32, contextLength: 256)
try model.add(LoRA(rank: 16, alpha: 32, targets: .allLinear))

let data = try Dataset(arguments[1], layout: .alpaca)
let (train, heldOut) = try data.holdOut(0.05, seed: 3407)

var recipe = Recipe()
recipe.plan.batchSize = 16
recipe.plan.steps = 60
let trainer = try SFTTrainer(model, on: train, heldOut: heldOut, optimizer: .adamW(learningRate: 2e-3), recipe: recipe)
print(trainer.memoryPlan())  // before anything is allocated

if let before = trainer.evaluate() { print("held out: loss \(before.loss)") }
for try await step in trainer.steps() where step.step % 10 == 0 {
  print("step \(step.step)  loss \(step.loss)  \(step.tokensPerSecond) tokens/s")
}
if let after = trainer.evaluate() { print("held out: loss \(after.loss)") }

try await model.save(.adapter, to: arguments[2])

enum ExampleError: Error { case usage }
