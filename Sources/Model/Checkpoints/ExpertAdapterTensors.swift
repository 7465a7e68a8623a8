import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore

/// The adapter of a stack of experts as PEFT writes it (`ParamWrapper`): `lora_A.weight` [experts · rank, in], one expert's rows after another's;
/// `lora_B.weight` [out, rank · experts], of each row the experts' first columns, then their second ones. Where gate and up take turns in the stack,
/// so do the rows of B. One module has several stacks: PEFT wraps it once for each, so that the name of the first ends with most `base_layer`s.
struct ExpertAdapterTensors {
  private let adapter: ExpertAdapter
  private let module: String
  private var nameOfA: String { "\(module).\(AdapterNames.linear.a)" }
  private var nameOfB: String { "\(module).\(AdapterNames.linear.b)" }

  /// Those of a model.
  static func all(_ model: CausalLM) -> [ExpertAdapterTensors] {
    let wrapped = Dictionary(grouping: model.expertAdapters.indices) { model.expertAdapters[$0].path }
    return model.expertAdapters.enumerated().map { index, adapter in
      let outer = wrapped[adapter.path]?.count { $0 > index } ?? 0
      return ExpertAdapterTensors(adapter: adapter, module: adapter.path + String(repeating: ".base_layer", count: outer))
    }
  }

  /// Whether a path is that of such a module.
  static func isStack(_ path: String) -> Bool {
    path.split(separator: ".").last { $0 != "base_layer" } == "experts"
  }

  private var experts: Int { adapter.a.count }
  private var rank: Int { adapter.a.first?.shape[0] ?? 0 }
  private var turns: Int { adapter.b.first?.count ?? 0 }
  private var outputs: Int { adapter.b.first?.first?.shape[0] ?? 0 }

  /// The tensors' names, after the prefix of all, and sizes.
  var shapes: [(name: String, shape: Shape)] {
    [(nameOfA, [experts * rank, adapter.a.first?.shape[1] ?? 0]), (nameOfB, [turns * outputs, rank * experts])]
  }

  /// One of them, float32.
  func tensor(_ name: String) -> Tensor {
    let shape = shapes[name == nameOfA ? 0 : 1].shape
    let stack = Tensor(uninitialized: shape, part: .workspace)
    for expert in 0..<experts { copy(expert, stack, isA: name == nameOfA, isCut: false) }
    return stack
  }

  /// Takes the numbers that `read` gives by name, float32.
  func read(_ read: (String) throws -> Tensor) rethrows {
    let (a, b) = (try read(nameOfA), try read(nameOfB))
    for expert in 0..<experts {
      copy(expert, a, isA: true, isCut: true)
      copy(expert, b, isA: false, isCut: true)
    }
  }

  /// Copies an expert's part out of a stack into its parameters, or the other way.
  private func copy(_ expert: Int, _ stack: Tensor, isA: Bool, isCut: Bool) {
    let parameters = isA ? [adapter.a[expert]] : adapter.b[expert]
    for (turn, parameter) in parameters.enumerated() {
      let part = isCut ? Tensor(uninitialized: parameter.shape, part: .adapter) : parameter.hostValue.float32
      let (rows, columns) = (parameter.shape[0], parameter.shape[1])
      withExtendedLifetime((part.storage, stack.storage)) {
        let (narrow, wide) = (part.floats, stack.floats)
        for row in 0..<rows {
          for column in 0..<columns {
            let at = isA ? (expert * rows + row) * columns + column : ((row * turns + turn) * columns + column) * experts + expert
            if isCut { narrow[row * columns + column] = wide[at] } else { wide[at] = narrow[row * columns + column] }
          }
        }
      }
      if isCut { parameter.value = part }
    }
  }
}
