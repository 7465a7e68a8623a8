import SwiftletLayers

/// The adapter of a stack of experts, gpt-oss's `experts.gate_up_proj` or `experts.down_proj`: for each expert a pair of matrices of its own. Gate and
/// up are one matrix to PEFT, so that they share A.
package struct ExpertAdapter {
  /// `model.layers.0.mlp.experts`.
  package let path: String
  /// A of each expert, `[rank, in]`.
  package internal(set) var a: [Parameter] = []
  /// B of each expert, `[out, rank]`: one, or gate's and up's.
  package internal(set) var b: [[Parameter]] = []

  /// All of them.
  package var parameters: [Parameter] { a + b.flatMap(\.self) }
}

/// The linear layers that stand in one stack of the files.
struct ExpertStackTarget {
  /// `model.layers.0.mlp.experts.gate_up_proj`.
  let name: String
  let path: String
  /// Of each expert the layers that take turns.
  private(set) var experts: [[Linear]] = []

  /// The stacks of a model, in the order of its layers and of a stack's name in files: gate and up before down.
  static func all(_ model: CausalLM) -> [ExpertStackTarget] {
    var (targets, places): ([ExpertStackTarget], [String: Int]) = ([], [:])
    for case let linear as Linear in model.modules where !linear.isAdaptable {
      guard let place = ExpertPlace(linear.path + ".weight") else { continue }
      let index = places[place.stack] ?? targets.count
      if index == targets.count {
        places[place.stack] = index
        targets.append(ExpertStackTarget(name: place.stack, path: place.path))
      }
      // Experts and turns are made in their order.
      if place.turns.index == 0 { targets[index].experts.append([]) }
      targets[index].experts[targets[index].experts.count - 1].append(linear)
    }
    return targets
  }
}

extension CausalLM {
  /// The stacks that `lora.targetParameters` names, by PEFT's rule: a whole name, or what it ends with after a dot.
  func targetStacks(_ lora: LoRA) throws -> [ExpertStackTarget] {
    if lora.targetParameters.isEmpty { return [] }
    let stacks = ExpertStackTarget.all(self)
    for wanted in lora.targetParameters where !stacks.contains(where: { lora.names($0.name, by: wanted) }) {
      let names = Set(stacks.map { $0.name.split(separator: ".").suffix(3).joined(separator: ".") }).sorted()
      throw LoRAError(
        "lora.targetParameters: no stack of experts matches \"\(wanted)\"; "
          + (names.isEmpty
            ? "this model's experts are linear layers: name them in targets" : "the model has \(names.joined(separator: ", "))"))
    }
    return stacks.filter { stack in lora.targetParameters.contains { lora.names(stack.name, by: $0) } }
  }
}

extension LoRA {
  fileprivate func names(_ parameter: String, by wanted: String) -> Bool { parameter == wanted || parameter.hasSuffix("." + wanted) }
}
