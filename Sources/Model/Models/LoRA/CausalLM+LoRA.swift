import SwiftletLayers
import SwiftletTensorCore

extension CausalLM {
  /// Freezes the base model and puts adapters on the modules that `lora` names; trains whole those in `modulesToSave`.
  ///
  /// A new adapter changes nothing that the model computes (B is zero). In shape-only mode nothing is allocated.
  /// - Parameter seed: of A's random start; each module has a stream of its own, keyed by its path.
  /// - Throws: `LoRAError` where a number makes no sense, nothing matches, or there is an adapter already.
  public func add(_ lora: LoRA, seed: UInt64 = 0) throws {
    guard self.lora == nil else { throw LoRAError("the model has an adapter already; merge it first or load the base model") }
    try lora.check()
    let matcher = try LoRAMatcher(lora)
    let targets = modules.filter { module in
      (module is Embedding || (module as? Linear)?.isAdaptable == true)
        && matcher.isTarget(module.path, isHead: module === head, isLinear: module is Linear)
    }
    let saved = modules.filter { !$0.parameters.isEmpty && matcher.isSaved($0.path) }
    let stacks = try targetStacks(lora)
    guard !targets.isEmpty || !saved.isEmpty || !stacks.isEmpty else { throw LoRAError(noMatch(lora)) }
    if lora.useDoRA, placement.device.isCUDA, targets.contains(where: { $0 === head }) {
      throw LoRAError(
        "\(head.path): DoRA on the language-model head is not there on a GPU: leave it out of the targets, use LoRA, or train on the CPU")
    }
    parameters.forEach { $0.freeze() }
    for module in saved { trainWhole(module) }
    let random = Random(seed: seed)
    for module in targets { try adapt(module, lora, matcher, random.split(stableHash(module.path))) }
    expertAdapters = try stacks.map { try adapt($0, lora, matcher, random) }
    savedModules = saved.map(\.path)
    self.lora = lora
  }

  /// Takes the adapter off; the base model stays, frozen parameters stay frozen.
  public func removeAdapter() {
    for module in modules {
      (module as? Linear)?.adapter = nil
      (module as? Embedding)?.adapter = nil
    }
    expertAdapters = []
    lora = nil
  }

  /// The same model in another place with random weights, with an adapter where this one has one, else trained whole.
  package func twin(_ placement: Placement) throws -> CausalLM {
    var placement = placement
    (placement.computeType, placement.quantization) = (self.placement.computeType, self.placement.quantization)
    placement.fourBit = self.placement.fourBit
    let coded = parameters.compactMap { parameter in parameter.quantized.map { (parameter.name, $0.format) } }
    placement.codedFormats = Dictionary(coded, uniquingKeysWith: { first, _ in first })
    let vectors = parameters.compactMap { $0.shape.rank == 1 && !$0.isTrainable ? ($0.name, $0.dtype) : nil }
    placement.vectorTypes = Dictionary(vectors, uniquingKeysWith: { first, _ in first }).compactMapValues { $0 }
    let twin = try ModelRegistry.make(config: config, source: .random(seed: 0), placement: placement)
    if let lora { try twin.add(lora) } else { try twin.makeAllTrainable() }
    return twin
  }

  private func noMatch(_ lora: LoRA) -> String {
    let names = Set(
      modules.compactMap {
        $0 is Embedding || ($0 as? Linear)?.isAdaptable == true ? $0.path.split(separator: ".").last.map(String.init) : nil
      })
    return "no module matches targets \(lora.targets); the model has \(names.sorted().joined(separator: ", "))"
  }

  /// A copy that is trained beside the frozen original, which a tied partner keeps.
  private func trainWhole(_ module: any Module) {
    for parameter in module.parameters where !parameter.isBuffer {
      let copy = Parameter(
        name: "\(module.path).\(parameter.name.split(separator: ".").last ?? "weight")", shape: parameter.shape,
        value: parameter.isMaterialized ? parameter.hostValue.converted(to: .float32, part: .adapter) : nil)
      copy.makeTrainable()
      copy.move(to: placement.device, computing: placement.computeType(of: module.path))
      module.replace(parameter, with: copy)
    }
  }

  private func adapt(_ stack: ExpertStackTarget, _ lora: LoRA, _ matcher: LoRAMatcher, _ random: Random) throws -> ExpertAdapter {
    var made = ExpertAdapter(path: stack.path)
    for expert in stack.experts {
      var shared: Parameter?
      for linear in expert {
        try adapt(linear, lora, matcher, random.split(stableHash(linear.path)), as: stack.name, sharing: shared)
        shared = linear.adapter?.a
      }
      made.a += [shared].compactMap(\.self)
      made.b.append(expert.compactMap { $0.adapter?.b })
    }
    return made
  }

  /// - Parameters:
  ///   - name: what patterns of ranks and alphas see; nil for the module's path.
  ///   - a: another adapter's A, which is this one's too.
  private func adapt(
    _ module: any Module, _ lora: LoRA, _ matcher: LoRAMatcher, _ random: Random, as name: String? = nil, sharing a: Parameter? = nil
  ) throws {
    let rank = matcher.rank(name ?? module.path)
    let alpha = matcher.alpha(name ?? module.path)
    guard rank > 0, alpha.isFinite else { throw LoRAError("\(module.path): rank \(rank) and alpha \(alpha) make no sense") }
    let weight = module.parameters[0]
    let start = weight.isMaterialized ? LoRAAdapter.Start(lora.start(module, rank: rank), random) : nil
    let adapter = LoRAAdapter.make(
      path: module.path, weight: weight, isEmbedding: module is Embedding, rank: rank, alpha: alpha,
      scale: matcher.scale(rank: rank, alpha: alpha), dropout: lora.dropout, isDoRA: lora.useDoRA, sharing: a, start: start,
      placement: placement)
    adapter.parameters.forEach { $0.move(to: placement.device, computing: placement.computeType(of: module.path)) }
    (module as? Linear)?.adapter = adapter
    (module as? Embedding)?.adapter = adapter
  }
}

extension LoRA {
  /// How the matrix that is not zero starts.
  func start(_ module: any Module, rank: Int) -> Initialization {
    guard let linear = module as? Linear else { return .normal(1) }
    switch initialisation {
    case .kaiming: return .uniform(1 / Float(linear.inputs).squareRoot())
    case .gaussian: return .normal(1 / Float(rank))
    }
  }

  /// - Throws: `LoRAError` for numbers that make no sense.
  func check() throws {
    guard (1...65536).contains(rank) else { throw LoRAError("lora.rank: a number from 1 to 65536 is wanted, found \(rank)") }
    guard alpha.isFinite else { throw LoRAError("lora.alpha: a number is wanted, found \(alpha)") }
    guard dropout >= 0, dropout < 1 else { throw LoRAError("lora.dropout: a number from 0 to below 1 is wanted, found \(dropout)") }
    if !targetParameters.isEmpty, dropout > 0 || useDoRA {
      throw LoRAError("lora.targetParameters: not together with dropout or DoRA; PEFT has no such adapter")
    }
    // PEFT refuses both, so an adapter that is saved like this could not be loaded.
    if case .pattern = targets, !layers.isEmpty {
      throw LoRAError("lora.layers: not together with a regular expression; let the expression choose the layers")
    }
    if layers.isEmpty, !layersPattern.isEmpty { throw LoRAError("lora.layersPattern: only together with lora.layers") }
    if let bad = rankPattern.first(where: { !(1...65536).contains($0.value) }) {
      throw LoRAError("lora.rankPattern.\(bad.key): a number from 1 to 65536 is wanted, found \(bad.value)")
    }
    if let bad = alphaPattern.first(where: { !$0.value.isFinite }) {
      throw LoRAError("lora.alphaPattern.\(bad.key): a number is wanted, found \(bad.value)")
    }
  }
}
