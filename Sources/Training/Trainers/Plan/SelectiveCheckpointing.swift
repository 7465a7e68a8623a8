import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore

extension Recipe {
  /// The recipe with `memory.checkpoint: selective` settled: the fewest blocks are computed again with which the largest steps stay within
  /// `memory.budget`, or within 97 % of the GPU (the rest is for its allocator). Recipes that say otherwise stay as they are.
  ///
  /// Blocks are alike, so what saves most recomputation for a byte is any of them; the last ones are kept.
  package func settled(
    on gpu: PlannedGPU, stored: DType, rows: [TokenRow], make: (Placement) throws -> CausalLM
  ) throws -> Recipe {
    guard memory.checkpoint == .selective, memory.replayedBlocks == nil else { return self }
    let budget = memory.budget > 0 ? Int(memory.budget * 1e9) : gpu.bytes / 100 * 97
    let windows = MemoryPlan.largestWindows(self, rows)
    func plan(_ replayed: Int) throws -> (recipe: Recipe, plan: SimulatedPlan) {
      var recipe = self
      recipe.memory.replayedBlocks = replayed
      return (recipe, try SimulatedPlan(gpu, recipe, stored: stored, windows: windows, make: make))
    }
    // `fits` replays enough or all; fewer than `low` are too few.
    var (low, fits) = (0, try plan(.max))
    var high = fits.plan.blocks
    while low < high {
      let middle = (low + high) / 2
      let found = try plan(middle)
      if found.plan.peakBytes <= budget { (high, fits) = (middle, found) } else { low = middle + 1 }
    }
    return fits.recipe
  }
}
