import Foundation
import SwiftletLayers

extension ModelConfig {
  /// Reads the rotary embedding, as transformers 4 (`rope_theta`, `rope_scaling`, `partial_rotary_factor`) or 5 (`rope_parameters`) writes it.
  /// - Parameters:
  ///   - missingPart: the share of a head that is turned where `partial_rotary_factor` is missing.
  ///   - interleaved: whether neighbouring dimensions form pairs.
  ///   - layerType: which entry counts where the parameters differ between layer types.
  ///   - renamed: what a type of older files is called now (Phi-3's `su` and `yarn`).
  ///   - field: the field that says how wide the heads to turn are, and what it says.
  func rotary(
    _ decoder: DecoderConfig, part missingPart: Double = 1, interleaved: Bool = false, layerType: String? = nil,
    renamed: [String: String] = [:], dimension field: (name: String, value: Int)? = nil
  ) throws -> Rotary {
    let outer = try object("rope_scaling") ?? object("rope_parameters")
    let parameters = try layerType.flatMap { try outer?.object($0) } ?? outer
    let theta = try parameters?.positive("rope_theta") ?? positive("rope_theta") ?? decoder.defaultTheta
    let part = try parameters?.fraction("partial_rotary_factor") ?? fraction("partial_rotary_factor") ?? missingPart
    let field = field ?? ("head_dim", decoder.headDimension)
    let turned = Int(Double(field.value) * part)
    guard turned >= 2, turned % 2 == 0 else {
      throw error(field.name, "an even number of rotary dimensions is wanted, found \(turned) (\(field.name) × partial_rotary_factor)")
    }
    guard theta > 1 else { throw error("rope_theta", "a number over 1 is wanted, found \(theta)") }
    let scaling = try parameters.map { try $0.scaling(outer: self, decoder, dimension: turned, renamed) } ?? .none
    return Rotary(dimension: turned, theta: theta, scaling: scaling, interleaved: interleaved)
  }

  private func fraction(_ field: String) throws -> Double? {
    try number(field, "a number over 0 and at most 1") { $0 > 0 && $0 <= 1 }
  }

  private func scaling(outer: ModelConfig, _ decoder: DecoderConfig, dimension: Int, _ renamed: [String: String]) throws -> RotaryScaling {
    let written = try string("rope_type") ?? string("type") ?? "default"
    switch renamed[written] ?? written {
    case "default": return .none
    case "linear": return .linear(factor: try needed("factor"))
    case "dynamic": return try dynamic(decoder, dimension)
    case "llama3": return try llama3(try original(outer, decoder))
    case "yarn": return try yarn(try original(outer, decoder), decoder)
    case "longrope", "su": return try longRoPE(try original(outer, decoder), decoder, dimension)
    default:
      throw error("rope_type", "one of default, linear, dynamic, llama3, yarn, longrope is wanted, found \"\(written)\"")
    }
  }

  private func needed(_ field: String) throws -> Double {
    guard let value = try positive(field) else { throw error(field, "missing: a number over 0 is wanted") }
    return value
  }

  private func original(_ outer: ModelConfig, _ decoder: DecoderConfig) throws -> Int {
    let (field, range) = ("original_max_position_embeddings", 1...(1 << 40))
    return try outer.int(field, in: range) ?? int(field, in: range) ?? decoder.maxPositions
  }

  private func dynamic(_ decoder: DecoderConfig, _ dimension: Int) throws -> RotaryScaling {
    let factor = try needed("factor")
    guard dimension > 2 else { throw error("rope_type", "dynamic wants more than 2 rotary dimensions, found \(dimension)") }
    guard factor >= 1 else { throw error("factor", "a number from 1 on is wanted, found \(factor)") }
    return .dynamic(factor: factor, maxPositions: decoder.maxPositions)
  }

  private func llama3(_ original: Int) throws -> RotaryScaling {
    let (low, high) = (try needed("low_freq_factor"), try needed("high_freq_factor"))
    guard high > low else { throw error("high_freq_factor", "a number over low_freq_factor (\(low)) is wanted, found \(high)") }
    return .llama3(factor: try needed("factor"), lowFrequency: low, highFrequency: high, originalPositions: original)
  }

  private func yarn(_ original: Int, _ decoder: DecoderConfig) throws -> RotaryScaling {
    let factor = try positive("factor") ?? Double(decoder.maxPositions) / Double(original)
    func multiplier(_ scale: Double) -> Double { factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1 }
    var attention = multiplier(1)
    if let scale = try number("mscale"), let all = try number("mscale_all_dim"), scale != 0, all != 0 {
      attention = multiplier(scale) / multiplier(all)
    }
    attention = try positive("attention_factor") ?? attention
    let (fast, slow) = (try number("beta_fast") ?? 0, try number("beta_slow") ?? 0)
    guard fast >= 0, slow >= 0, attention.isFinite else { throw error("beta_fast", "numbers from 0 on are wanted") }
    return .yarn(
      factor: factor, betaFast: fast == 0 ? 32 : fast, betaSlow: slow == 0 ? 1 : slow, originalPositions: original, attention: attention,
      truncate: try bool("truncate") ?? true)
  }

  private func longRoPE(_ original: Int, _ decoder: DecoderConfig, _ dimension: Int) throws -> RotaryScaling {
    guard let short = try positives("short_factor", count: dimension / 2) else { throw error("short_factor", "missing") }
    guard let long = try positives("long_factor", count: dimension / 2) else { throw error("long_factor", "missing") }
    let factor = try positive("factor") ?? Double(decoder.maxPositions) / Double(original)
    let usual = factor <= 1 || original < 2 ? 1 : (1 + log(factor) / log(Double(original))).squareRoot()
    return .longRoPE(short: short, long: long, originalPositions: original, attention: try positive("attention_factor") ?? usual)
  }
}
