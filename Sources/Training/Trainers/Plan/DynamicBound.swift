import SwiftletCheckpoints
import SwiftletLayers
import SwiftletModels
import SwiftletTracking

/// What `dynamic4bit` may add to the memory of plain NF4, where nobody has measured yet which layers stay in 16 bits. A plan reads no weights, so
/// it takes the most that the budget allows; a run measures first, and then plans with what it found.
struct DynamicBound {
  /// Bytes of the weights that stay in 16 bits beyond those of their codes.
  let kept: Int
  /// The same with what else a GPU may need: a weight that is not coded gets a copy with its adapter beside it for a product, where codes are
  /// written into buffers that all share.
  let onGPU: Int
  /// The line of the plan.
  let note: String

  /// nil where nothing is open: other precisions, or layers that are chosen.
  init?(_ model: CausalLM, _ recipe: Recipe) throws {
    guard recipe.model.weights == .dynamic4bit, model.placement.fourBit == nil else { return nil }
    let budget = recipe.model.dynamic4bit.budget
    let linears = model.modules.compactMap { $0 as? Linear }.filter { $0 !== model.head }
    // Files describe the codes of a matrix in a little more bytes than memory, which rounds each allocation up.
    kept = Int(min(Double(try BitsAndBytesFile.plainByteCount(model)) * budget, 1e18)) + 1024 * linears.count
    let copy = linears.map { linear in
      let rank = linear.adapter?.rank ?? 0
      return model.placement.computeType.size * (linear.outputs + rank) * (linear.inputs + rank + 1)
    }
    onGPU = kept + (copy.max() ?? 0)
    note =
      "weights are the most that dynamic4bit may keep (\(Text.bytes(kept)) over NF4): which layers stay in 16 bits is measured when the run starts"
  }
}
