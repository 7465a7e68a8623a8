import Swiftlet

let model = try await LanguageModel.load("Nestling/model", as: .float32)
try model.add(LoRA(rank: 16, alpha: 32, targets: .allLinear))
let data = try Dataset("Nestling/task/train.jsonl", layout: .alpaca)
let (train, heldOut) = try data.holdOut(0.02, seed: 3407)
let trainer = try SFTTrainer(model, on: train, heldOut: heldOut, optimizer: .adamW(learningRate: 2e-3), recipe: Recipe())
print(trainer.memoryPlan())
for try await step in trainer.steps() { print(step.step, step.loss, step.tokensPerSecond) }
if let after = trainer.evaluate() { print("held-out loss", after.loss) }
try await model.save(.adapter, to: "runs/tickets/adapter")
for try await piece in model.generate("Ida here. Please give me two red hats.") { print(piece, terminator: "") }
