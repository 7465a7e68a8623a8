import SwiftletCPU

/// Where a tensor stands on a tape.
public struct Trace {
  /// The tape that records what is done with the tensor.
  public let tape: Tape
  /// The gradient's place on the tape; nil where no gradient is wanted, and the tensor only brings the tape along.
  let slot: Int?
  /// Whether a gradient flows to this tensor.
  public var needsGradient: Bool { slot != nil }
}

/// Takes the gradient of a tensor that the tape watches. Called once or more per backward pass, in a fixed order.
public protocol GradientSink: AnyObject {
  /// Adds `gradient` (same shape as the watched tensor, float32) to what has come before.
  func accumulate(_ gradient: consuming Tensor)
  /// Gives away the sum so far, for an op that adds to it in place and brings it back through `accumulate`; nil where there is none.
  func lend() -> Tensor?
}

extension GradientSink {
  /// Lends nothing.
  public func lend() -> Tensor? { nil }
}

/// A sink that keeps the sum: for checks and for replays inside a backward pass.
public final class GradientBox: GradientSink {
  /// The sum so far; nil before the first gradient.
  public private(set) var gradient: Tensor?
  /// A box that holds `start`.
  public init(_ start: Tensor? = nil) { gradient = start }
  /// Adds a gradient.
  public func accumulate(_ new: consuming Tensor) {
    let old = lend()
    gradient = sum(old, new)
  }
  /// Gives the sum away.
  public func lend() -> Tensor? {
    defer { gradient = nil }
    return gradient
  }
}

/// What an op's backward rule gets.
public struct BackwardContext {
  /// Gradients of the outputs, in the order in which they were recorded; nil where nothing flowed back. Take them with `take`.
  var gradients: [Tensor?]
  /// What has already arrived for each input from ops recorded later.
  var arrived: [Tensor?]
  /// The tensors of the op's `saving:` list, in its order.
  public private(set) var saved: [Tensor]
  /// For each input, whether its gradient is wanted.
  public let needs: [Bool]
  /// Starts the copy of what backward takes next from host memory; nil where this node has waited nowhere else.
  var fetchNext: (() -> Void)?

  init(gradients: [Tensor?], arrived: [Tensor?], saved: consuming [Tensor], needs: [Bool]) {
    self.gradients = gradients
    self.arrived = arrived
    self.saved = saved
    self.needs = needs
  }

  /// The gradient of output `index`, given away so that the rule may write into it where it is the only owner.
  public mutating func take(_ index: Int = 0) -> Tensor? {
    var taken: Tensor?
    swap(&taken, &gradients[index])
    return taken
  }

  /// Saved tensor `index`, given away so that the rule may write into it where it is the only owner.
  public mutating func takeSaved(_ index: Int) -> Tensor {
    var taken = Tensor(noneOf: saved[index].dtype)
    swap(&taken, &saved[index])
    return taken
  }

  /// Whether a gradient has already arrived for input `index`.
  public func hasArrived(_ index: Int) -> Bool { arrived[index] != nil }

  /// Memory for the gradient of input `index`: what has already arrived for it, to be added to (`accumulate` true); where nothing has, new
  /// memory with undefined contents. The rule returns the tensor as that input's gradient.
  ///
  /// What is not owned alone is copied, and still added to: an op's rounding must not depend on who else holds a gradient.
  public mutating func destination(
    _ index: Int, _ shape: Shape, _ dtype: DType = .float32, part: MemoryPart = .activations, on device: Device = .cpu
  ) -> (tensor: Tensor, accumulate: Bool) {
    var taken: Tensor?
    swap(&taken, &arrived[index])
    if var sum = consume taken {
      return (sum.isUniquelyOwned() ? sum : sum.copied(part: part), true)
    }
    return (Tensor(uninitialized: shape, dtype, part: part, on: device), false)
  }
}

/// An op's backward rule: gradients of the inputs, in their order; nil where none is wanted. Captures sizes and constants, never tensors:
/// those go through `saving:`, so that the plan can count them and offload can move them.
public typealias BackwardRule = (inout BackwardContext) -> [Tensor?]

/// Computes an op's first output again from what the op saved. Captures sizes and constants only.
public typealias Remaking = ([Tensor]) -> Tensor

/// A record of the ops of one forward pass, read backwards once.
///
/// A tensor carries its tape (`Tensor.trace`), so an op records where its inputs tell it to and nothing is global. Inputs without a tape
/// are not recorded: the same model code runs for inference by leaving the tape out. Nodes run in reverse order of recording, and sums of
/// gradients are formed in that order: the same pass gives the same bits.
public final class Tape {
  private struct Node {
    let name: StaticString
    let inputs: [Int?]
    let outputs: [Int]
    let saved: [Saved]
    let rule: BackwardRule
  }

  /// What a node keeps of a tensor.
  private enum Saved {
    case kept(Tensor)
    /// The output in `slot` of a cheap op, to be computed again when it is wanted.
    case remade(slot: Int, shape: Shape)
    /// In host memory meanwhile.
    case offloaded(OffloadedTensor)
  }

  private struct Recipe {
    let node: Int
    let body: Remaking
  }

  private var recipes: [Int: Recipe] = [:]
  private var remade: [Int: Tensor] = [:]
  private var nodes: [Node?] = []
  private var gradients: [Tensor?] = []
  private var sinks: [Int: any GradientSink] = [:]
  private var watched: [ObjectIdentifier: Int] = [:]
  private var lastOffloaded: OffloadedTensor?

  /// Whether this tape records a replay inside a backward pass: the value of the replay's own output is then wanted by nobody, and an op
  /// may put off computing an output (`Storage(deferredOn:)`).
  public let isReplay: Bool

  /// Called once before the rule of the node that was recorded first.
  var beforeLastRule: (() -> Void)?

  /// An empty tape.
  public init(isReplay: Bool = false) { self.isReplay = isReplay }

  /// Bytes that the recorded nodes keep alive for backward, each storage once.
  public var savedBytes: Int {
    var seen = Set<ObjectIdentifier>()
    return nodes.reduce(0) { total, node in
      (node?.saved ?? []).reduce(total) { total, saved in
        guard case .kept(let tensor) = saved, seen.insert(ObjectIdentifier(tensor.storage)).inserted else { return total }
        return total + tensor.storage.byteCount
      }
    }
  }

  /// `tensor` brought onto this tape without wanting its gradient: the start of a recorded pass.
  public func carry(_ tensor: Tensor) -> Tensor {
    var traced = tensor
    traced.trace = Trace(tape: self, slot: nil)
    return traced
  }

  /// `tensor` as a leaf whose gradient goes to `sink`. Watching for the same sink twice gives the same leaf.
  public func watch(_ tensor: Tensor, for sink: any GradientSink) -> Tensor {
    var traced = tensor
    let slot: Int
    if let known = watched[ObjectIdentifier(sink)] {
      slot = known
    } else {
      slot = newSlot()
      watched[ObjectIdentifier(sink)] = slot
      sinks[slot] = sink
    }
    traced.trace = Trace(tape: self, slot: slot)
    return traced
  }

  private func newSlot() -> Int {
    gradients.append(nil)
    return gradients.count - 1
  }

  /// Records an op and returns its outputs with their traces. Records nothing, and returns outputs that only carry the tape, where no
  /// input needs a gradient and `always` is false.
  ///
  /// - Parameter remaking: computes output 0 again, to the same bits, from the `saving:` list; for ops that cost next to nothing. Later ops
  ///   that save that output then keep nothing: it is computed again when the first of their rules runs.
  /// - Parameter placement: `host` moves what is saved from a GPU to host memory until backward.
  public func record(
    _ name: StaticString, _ inputs: [Tensor], saving saved: [Tensor], at placement: SavePlacement = .device, outputs: [Tensor],
    always: Bool = false, remaking: Remaking? = nil, backward rule: @escaping BackwardRule
  ) -> [Tensor] {
    record(
      name, inputs.map(\.trace), saving: saved, at: placement, outputs: outputs, always: always, remaking: remaking, backward: rule)
  }

  /// The same for an op that has already given its inputs' memory away.
  public func record(
    _ name: StaticString, _ inputs: [Trace?], saving saved: [Tensor], at placement: SavePlacement = .device, outputs: [Tensor],
    always: Bool = false, remaking: Remaking? = nil, backward rule: @escaping BackwardRule
  ) -> [Tensor] {
    let slots = inputs.map { trace -> Int? in
      precondition(trace == nil || trace?.tape === self, "\(name): an input stands on another tape")
      return trace?.slot
    }
    guard always || slots.contains(where: { $0 != nil }) else { return outputs.map(carry) }
    let outputSlots = outputs.map { _ in newSlot() }
    if let remaking { recipes[outputSlots[0]] = Recipe(node: nodes.count, body: remaking) }
    nodes.append(Node(name: name, inputs: slots, outputs: outputSlots, saved: saved.map { saving($0, placement) }, rule: rule))
    return zip(outputs, outputSlots).map { output, slot in
      var traced = output
      traced.trace = Trace(tape: self, slot: slot)
      return traced
    }
  }

  private func saving(_ tensor: Tensor, _ placement: SavePlacement) -> Saved {
    if placement == .host, tensor.device.isCUDA, tensor.byteCount > 0 {
      let offloaded = OffloadedTensor(tensor, after: lastOffloaded)
      lastOffloaded = offloaded
      return .offloaded(offloaded)
    }
    if let trace = tensor.trace, trace.tape === self, let slot = trace.slot, recipes[slot] != nil {
      return .remade(slot: slot, shape: tensor.shape)
    }
    return .kept(tensor.detached)
  }

  /// The saved tensor, computed again where it was not kept; the ops of recipes stand before the one that asks.
  private func restored(_ saved: Saved) -> Tensor {
    switch saved {
    case .kept(let tensor): return tensor
    case .offloaded(let tensor): return tensor.take()
    case .remade(let slot, let shape):
      if let known = remade[slot] { return known.reshaped(shape) }
      guard let recipe = recipes[slot], let node = nodes[recipe.node] else {
        preconditionFailure("what an op saved is gone before its backward rule has run")
      }
      let tensor = recipe.body(node.saved.map(restored))
      remade[slot] = tensor
      return tensor.reshaped(shape)
    }
  }

  /// Runs the tape backwards from `output`, starting with gradient `seed` (same shape; ones where nil), and empties it.
  ///
  /// What a node saved is released as soon as its rule has run. A sink gets each part of its gradient as soon as it is known, so that no
  /// second copy of it lives; the parts come in a fixed order.
  ///
  /// An output that is given away is released first: one that was put off (`Storage(deferredOn:)`) holds what it would be computed from.
  public func backward(from output: consuming Tensor, seed: consuming Tensor? = nil) {
    guard let trace = output.trace, trace.tape === self, let slot = trace.slot else { return reset() }
    deliver(seed ?? Tensor(filled: 1, output.shape, on: output.device), to: slot)
    _ = consume output
    runNodes()
  }

  /// The same from several outputs; a seed that is nil brings nothing.
  public func backward(from outputs: consuming [Tensor], seeds: [Tensor?]) {
    let slots = outputs.map { $0.trace?.tape === self ? $0.trace?.slot : nil }
    _ = consume outputs
    for (slot, seed) in zip(slots, seeds) {
      if let slot, let seed { deliver(seed, to: slot) }
    }
    runNodes()
  }

  private func runNodes() {
    for index in nodes.indices.reversed() {
      if index == 0 { beforeLastRule?() }
      // Out of the list, so that the rule is the only owner of what the node saved.
      var node: Node?
      swap(&node, &nodes[index])
      if let node = consume node { run(node) }
    }
    reset()
  }

  private func run(_ node: consuming Node) {
    let rule = node.rule
    let name = node.name
    let inputs = node.inputs
    let gradients = node.outputs.map(takeGradient)
    for slot in node.outputs {
      recipes[slot] = nil
      remade[slot] = nil
    }
    guard gradients.contains(where: { $0 != nil }) else { return }
    var context = BackwardContext(
      gradients: consume gradients, arrived: inputs.map { $0.flatMap(takeArrived) }, saved: node.saved.map(restored),
      needs: inputs.map { $0 != nil })
    for case .offloaded(let tensor) in node.saved { context.fetchNext = tensor.fetchNext }
    _ = consume node
    var outgoing = rule(&context)
    guard outgoing.count == inputs.count else { fatalError("\(name): \(outgoing.count) gradients for \(inputs.count) inputs") }
    for (index, slot) in inputs.enumerated() {
      guard let slot else { continue }
      if let before = context.arrived[index] {
        context.arrived[index] = nil
        deliver(before, to: slot)
      }
      var gradient: Tensor?
      swap(&gradient, &outgoing[index])
      if let gradient = consume gradient { deliver(gradient, to: slot) }
    }
  }

  private func deliver(_ gradient: consuming Tensor, to slot: Int) {
    if let sink = sinks[slot] { return sink.accumulate(gradient) }
    let before = takeGradient(slot)
    gradients[slot] = sum(before, gradient)
  }

  private func takeArrived(_ slot: Int) -> Tensor? { sinks[slot]?.lend() ?? takeGradient(slot) }

  private func takeGradient(_ slot: Int) -> Tensor? {
    var taken: Tensor?
    swap(&taken, &gradients[slot])
    return taken
  }

  private func reset() {
    nodes = []
    gradients = []
    sinks = [:]
    watched = [:]
    recipes = [:]
    remade = [:]
    lastOffloaded = nil
    beforeLastRule = nil
  }
}

/// The tape that any of `inputs` stands on.
public func tape(of inputs: Tensor?...) -> Tape? { tape(of: inputs) }

/// The tape that any of `inputs` stands on.
public func tape(of inputs: [Tensor?]) -> Tape? {
  for input in inputs { if let trace = input?.trace { return trace.tape } }
  return nil
}
