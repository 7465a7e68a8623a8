import ArgumentParser
import Swiftlet

/// `swiftlet bench`: how fast this machine is.
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure operations, training and generation.",
    discussion: """
      MODELSPEC is a config.json; the weights are random.

      EXAMPLES:
        swiftlet bench
        swiftlet bench matmul attention
        swiftlet bench --train config.json --batch 4 --length 512
        swiftlet bench --decode config.json
      """)

  @Argument(help: ArgumentHelp("Operations; all where none is named.", valueName: "op"))
  var operations: [String] = []

  @Option(name: .long, help: ArgumentHelp("Measure LoRA training of this model.", valueName: "modelspec"))
  var train: String?

  @Option(name: .long, help: ArgumentHelp("Measure generation with this model.", valueName: "modelspec"))
  var decode: String?

  @Option(name: .long, help: ArgumentHelp("Sequences at once.", valueName: "n"))
  var batch: Int?

  @Option(name: .long, help: ArgumentHelp("Tokens of a sequence in training, of the prompt in generation.", valueName: "n"))
  var length = 512

  @Option(name: .long, help: ArgumentHelp("Steps, or tokens to generate.", valueName: "n"))
  var steps: Int?

  @Flag(name: .long, help: "Train every weight instead of an adapter.")
  var full = false

  @Flag(name: .long, help: "Compute each block again in backward instead of keeping what it saves.")
  var checkpoint = false

  @Option(name: .long, help: ArgumentHelp("Precision of the weights: float32, float16 or bfloat16.", valueName: "w"))
  var weights: WeightFormat?

  @OptionGroup var global: GlobalOptions

  func validate() throws {
    let known = OpBench.all.map(\.name)
    for name in operations where !known.contains(name) {
      throw ValidationError("no operation \(name) is measured, want one of \(known.joined(separator: ", "))")
    }
    for (name, value) in [("batch", batch ?? 1), ("length", length), ("steps", steps ?? 1)] where value < 1 {
      throw ValidationError("--\(name) is \(value), want 1 or more")
    }
  }

  func run() throws {
    try global.begin()
    if let train { try measure(train, steps: 5, batch: 4) { [try $0.train()] } }
    if let decode { try measure(decode, steps: 64, batch: 1) { $0.decode() } }
    if train == nil && decode == nil || !operations.isEmpty { measureOperations() }
  }

  private func measure(_ config: String, steps: Int, batch: Int, _ body: (ModelBench) throws -> [ModelBench.Result]) throws {
    var options = ModelBench.Options(batch: self.batch ?? batch, length: length, steps: self.steps ?? steps)
    options.isFull = full
    options.checkpoints = checkpoint
    for result in try body(try ModelBench(config: config, weights: weights, options)) {
      Terminal.line(global.json ? result.json.serialized() : result.text)
    }
  }

  private func measureOperations() {
    for operation in OpBench.all where operations.isEmpty || operations.contains(operation.name) {
      let result = operation.run()
      Terminal.line(global.json ? result.json.serialized() : result.text)
    }
  }
}
