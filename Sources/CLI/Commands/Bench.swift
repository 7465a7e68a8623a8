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
        swiftlet bench --device cuda
        swiftlet bench --train config.json --batch 4 --length 512
        swiftlet bench --decode config.json
        swiftlet bench --train llama-3-8b.json --device cuda --weights nf4 --rank 64 --batch 4 --length 2048 --checkpoint everyBlock \\
          --optimizer adamW8bit --profile
      """)

  @Argument(help: ArgumentHelp("Operations; all where none is named.", valueName: "op"))
  var operations: [String] = []

  @Option(name: .long, help: ArgumentHelp("Measure LoRA training of this model.", valueName: "modelspec"))
  var train: String?

  @Option(name: .long, help: ArgumentHelp("Measure generation with this model.", valueName: "modelspec"))
  var decode: String?

  @OptionGroup var sizes: ModelBenchOptions

  @Flag(name: .long, help: "Walk through everything on an H200 that is not there: memory is counted, times mean nothing.")
  var simulated = false

  @OptionGroup var global: GlobalOptions

  func validate() throws {
    let known = (OpBench.all.map(\.name) + GPUOpBench.all.map(\.name)).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
    for name in operations where !known.contains(name) {
      throw ValidationError("no operation \(name) is measured, want one of \(known.joined(separator: ", "))")
    }
  }

  /// Where to measure.
  private var device: Device {
    if !simulated { return global.chosenDevice }
    return Device.simulated(capability: (9, 0), memory: 141_000_000_000)
  }

  func run() throws {
    if !simulated { try global.begin() }
    let device = device
    if let train {
      let bench = try ModelBench(config: train, sizes.options(steps: 5, batch: 4, on: device))
      show(try bench.train { global.note($0) })
    }
    if let decode { try ModelBench(config: decode, sizes.options(steps: 64, batch: 1, on: device)).decode().forEach(show) }
    if train == nil && decode == nil || !operations.isEmpty { try OperationBenches(names: operations, json: global.json).run(on: device) }
  }

  private func show(_ result: ModelBench.Result) { Terminal.line(global.json ? result.json.serialized() : result.text) }
}
