/// Decides by PEFT's rules which modules an adapter goes on, with which rank and alpha. Patterns are compiled once.
struct LoRAMatcher {
  private let lora: LoRA
  private let targetPattern: Regex<AnyRegexOutput>?
  private let excludePattern: Regex<AnyRegexOutput>?
  private let saved: [Regex<AnyRegexOutput>]
  private let layerPatterns: [Regex<AnyRegexOutput>]
  private let ranks: [(pattern: Regex<AnyRegexOutput>, rank: Int)]
  private let alphas: [(pattern: Regex<AnyRegexOutput>, alpha: Double)]

  init(_ lora: LoRA) throws {
    self.lora = lora
    targetPattern = if case .pattern(let text) = lora.targets { try Self.compile(text, "targets") } else { nil }
    excludePattern = if case .pattern(let text) = lora.exclude { try Self.compile(text, "exclude") } else { nil }
    saved = try lora.modulesToSave.map { try Self.compile("(?:^|.*\\.)(?:\($0))(?:$|\\..*)", "modulesToSave") }
    layerPatterns = try lora.layersPattern.map { try Self.compile("(?:^|.*?\\.)(?:\($0))\\.(\\d+)\\..*", "layersPattern") }
    ranks = try lora.rankPattern.sorted { $0.key < $1.key }.map { (try Self.suffix($0.key, "rankPattern"), $0.value) }
    alphas = try lora.alphaPattern.sorted { $0.key < $1.key }.map { (try Self.suffix($0.key, "alphaPattern"), $0.value) }
  }

  private static func compile(_ text: String, _ field: String) throws -> Regex<AnyRegexOutput> {
    // Python reads words and letters scalar by scalar; Swift would go by Unicode text segmentation.
    do { return try Regex(text).wordBoundaryKind(.simple).matchingSemantics(.unicodeScalar) } catch {
      throw LoRAError("\(field): \"\(text)\" is not a regular expression: \(error)")
    }
  }

  private static func suffix(_ key: String, _ field: String) throws -> Regex<AnyRegexOutput> {
    try compile("(?:.*\\.)?(?:\(key))", field)
  }

  private func matches(_ pattern: Regex<AnyRegexOutput>, _ path: String) -> Bool { (try? pattern.wholeMatch(in: path)) != nil }

  private func isNamed(_ path: String, _ names: [String]) -> Bool {
    names.contains { path == $0 || path.hasSuffix("." + $0) }
  }

  /// Whether the module at `path` gets an adapter.
  func isTarget(_ path: String, isHead: Bool, isLinear: Bool) -> Bool {
    if isExcluded(path) || saved.contains(where: { matches($0, path) }) { return false }
    switch lora.targets {
    // PEFT turns this into the list of full paths, to which the choice of layers does not apply; here it does.
    case .allLinear: return isLinear && !isHead && isInLayers(path)
    case .pattern: return targetPattern.map { matches($0, path) } ?? false
    case .names(let names): return names.contains(path) || (isNamed(path, names) && isInLayers(path))
    }
  }

  private func isExcluded(_ path: String) -> Bool {
    switch lora.exclude {
    case .allLinear: false
    case .names(let names): isNamed(path, names)
    case .pattern: excludePattern.map { matches($0, path) } ?? false
    }
  }

  private func isInLayers(_ path: String) -> Bool {
    lora.layers.isEmpty || layerIndex(path).map(lora.layers.contains) ?? false
  }

  /// The first numbered part of the path (an expert's number comes later).
  private func layerIndex(_ path: String) -> Int? {
    if layerPatterns.isEmpty {
      let parts = path.split(separator: ".", omittingEmptySubsequences: false)
      guard parts.count > 3 else { return nil }
      return parts.indices.dropLast().dropFirst(2).lazy.compactMap { Int(parts[$0]) }.first
    }
    for pattern in layerPatterns {
      guard let match = try? pattern.wholeMatch(in: path), match.output.count > 1 else { continue }
      return match.output[match.output.count - 1].substring.flatMap { Int($0) }
    }
    return nil
  }

  /// Whether the module at `path` is trained whole.
  func isSaved(_ path: String) -> Bool { lora.modulesToSave.contains { path.hasSuffix($0) } }

  func rank(_ path: String) -> Int { ranks.first { matches($0.pattern, path) }?.rank ?? lora.rank }

  func alpha(_ path: String) -> Double { alphas.first { matches($0.pattern, path) }?.alpha ?? lora.alpha }

  func scale(rank: Int, alpha: Double) -> Float {
    Float(lora.useRSLoRA ? alpha / Double(rank).squareRoot() : alpha / Double(rank))
  }
}
