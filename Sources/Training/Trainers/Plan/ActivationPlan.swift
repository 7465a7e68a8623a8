import SwiftletCPU
import SwiftletLayers
import SwiftletModels

/// What the nodes of a training pass save, in float32 numbers, from shapes only: the sum of the ops' `saving:` lists.
struct ActivationPlan {
  /// One block of the model.
  struct Block {
    /// Numbers saved for each token.
    var perToken = 0.0
    /// Bytes of gradients that its backward gives.
    var gradientBytes = 0
    /// The widest pair of temporaries in its backward, numbers per token.
    var temporaries = 0.0
  }

  private(set) var blocks: [Block]
  private let hidden: Int
  private let vocabulary: Int
  private let headGradientBytes: Int
  private let embeddingGradientBytes: Int
  private let isCapped: Bool

  init(_ model: CausalLM) {
    hidden = model.decoder.hiddenSize
    vocabulary = model.vocabularySize
    blocks = Array(repeating: Block(), count: model.layerCount)
    let experts = Experts(model)
    var inputs = Set<String>()
    var (head, embedding) = (0, 0)
    // Gate and up of stacked experts share a matrix.
    var counted = Set<ObjectIdentifier>()
    for module in model.modules {
      let trained = (module.parameters + (module.adapter?.parameters ?? [])).filter {
        $0.isTrainable && counted.insert(ObjectIdentifier($0)).inserted
      }
      let gradients = trained.reduce(0) { $0 + 4 * $1.shape.count }
      guard let index = ActivationPlan.blockIndex(module.path), index < blocks.count else {
        if module === model.embedding { embedding += gradients } else { head += gradients }
        continue
      }
      blocks[index].gradientBytes += gradients
      blocks[index].perToken += experts.share(module.path) * ActivationPlan.saved(module, model, index, &inputs)
      blocks[index].temporaries = max(blocks[index].temporaries, ActivationPlan.temporaries(module, experts))
    }
    for index in blocks.indices { blocks[index].perToken += experts.routing(index) }
    (headGradientBytes, embeddingGradientBytes) = (head, model.head.weight === model.embedding.weight ? 0 : embedding)
    isCapped = model.config.has("final_logit_softcapping")
  }

  /// `model.layers.7.…` is in block 7.
  private static func blockIndex(_ path: String) -> Int? {
    path.split(separator: ".").dropLast().lazy.compactMap { Int($0) }.first
  }

  private static func saved(_ module: any Module, _ model: CausalLM, _ block: Int, _ inputs: inout Set<String>) -> Double {
    let name = module.path.split(separator: ".").last ?? ""
    switch module {
    case let linear as Linear: return Double(saved(linear, name, &inputs))
    case let attention as Attention:
      let shape = attention.shape
      return Double((2 * shape.heads + 2 * shape.keyValueHeads) * shape.headDimension + shape.heads)
    case let attention as LatentAttention:
      let shape = attention.shape
      return Double(shape.heads * (2 * shape.query + 2 * shape.value + 1))
    default:
      // A norm saves its input: the stream, or all heads of queries or keys.
      guard let weight = module.parameters.first, weight.shape.rank == 1, name.contains("norm") else { return 0 }
      let decoder = model.decoder
      if name.contains("q_norm") { return Double(decoder.heads * decoder.headDimension) }
      if name.contains("k_norm") { return Double(decoder.keyValueHeads * decoder.headDimension) }
      return Double(weight.shape.count)
    }
  }

  private static func saved(_ linear: Linear, _ name: Substring, _ inputs: inout Set<String>) -> Int {
    var numbers = linear.adapter?.rank ?? 0
    // Gate and up are kept by the activation; its output, and those of norms, are computed again where linear layers want them.
    if isDown(name) { numbers += 2 * linear.inputs }
    // Rows that were sent to an expert are kept once for gate and up.
    let isExpertInput = linear.path.contains(".experts.") && !isDown(name)
    guard isExpertInput, linear.adapter != nil || linear.weight.isTrainable else { return numbers }
    return inputs.insert(String(linear.path.dropLast(name.count))).inserted ? numbers + linear.inputs : numbers
  }

  private static func isDown(_ name: Substring) -> Bool { name.hasPrefix("down") || name == "w2" }

  /// Gradients of output and input of a linear layer live together, and the input that was computed again.
  private static func temporaries(_ module: any Module, _ experts: Experts) -> Double {
    guard let linear = module as? Linear else { return 0 }
    let isTrained = linear.adapter != nil || linear.weight.isTrainable
    return experts.share(module.path) * Double(linear.inputs * (isTrained ? 2 : 1) + linear.outputs)
  }

  /// Numbers that a matrix product packs: a region of its left side, some panels of its right side for each thread.
  private static func packing(rows: Double, width: Int) -> Double {
    min(rows, 1120) * Double(min(width, 2048)) + Double(Parallel.threads << 13)
  }

  /// The highest bytes of activations and gradients together in a pass over `tokens` tokens.
  /// - Parameter allGradients: whether gradients of earlier passes of the same step are already there.
  func peak(tokens: Int, checkpointing: Bool, allGradients: Bool) -> (activations: Int, gradients: Int) {
    let perToken = blocks.map { checkpointing ? Double(hidden) : $0.perToken }
    let t = Double(tokens)
    var live = perToken.reduce(0, +) * t
    let all = blocks.reduce(0) { $0 + $1.gradientBytes } + headGradientBytes + embeddingGradientBytes
    var gradients = allGradients ? all : headGradientBytes
    // The head makes its gradient in one piece, beside the sum so far.
    let headGradients = allGradients ? all + headGradientBytes : headGradientBytes
    let rows = Double(max(1, min(tokens, max(64, min(1024, (16 << 20) / max(vocabulary, 1))))))
    let logits = rows * Double(vocabulary) * (isCapped ? 2 : 1) + 2 * rows * Double(hidden)
    let headPacking = ActivationPlan.packing(rows: rows, width: vocabulary)
    // In the head: the norm's input and output, the gradient of the latter, and a chunk of logits.
    var best = (activations: 4 * (live + 3 * Double(hidden) * t + logits + headPacking), gradients: headGradients)
    for index in blocks.indices.reversed() {
      let block = blocks[index]
      if !allGradients { gradients += block.gradientBytes }
      // The block's input, which it saves, waits already.
      let replay = checkpointing ? block.perToken - Double(hidden) : 0
      let packing = ActivationPlan.packing(rows: t, width: hidden)
      let here = 4 * (live + (replay + block.temporaries + Double(hidden)) * t + packing)
      if here + Double(gradients) > best.activations + Double(best.gradients) { best = (here, gradients) }
      live -= perToken[index] * t
    }
    return (Int(best.activations), best.gradients)
  }
}

/// What a mixture of experts keeps: each token passes `topK` of them.
private struct Experts {
  private var count = 0
  private var topK = 1
  private var hidden = 0
  private var blocks = Set<Int>()

  init(_ model: CausalLM) {
    topK = (try? model.config.int("num_experts_per_tok", in: 1...1024)) ?? 1
    hidden = model.decoder.hiddenSize
    for module in model.modules {
      let parts = module.path.split(separator: ".")
      guard let at = parts.firstIndex(of: "experts"), at + 1 < parts.count, let number = Int(parts[at + 1]) else { continue }
      count = max(count, number + 1)
      if let block = parts.lazy.compactMap({ Int($0) }).first { blocks.insert(block) }
    }
  }

  /// The share of tokens that a module sees.
  func share(_ path: String) -> Double { path.contains(".experts.") ? Double(topK) / Double(max(1, count)) : 1 }

  /// Scores, choices and the experts' outputs, numbers per token of block `index`.
  func routing(_ index: Int) -> Double { blocks.contains(index) ? Double(count + 2 * topK + topK * hidden) : 0 }
}
