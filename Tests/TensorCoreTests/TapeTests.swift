import SwiftletTensorCore
import Testing

@Suite struct TapeTests {
  /// `x · factor`, which saves x and says in backward whether it owns what it gets.
  private func node(_ x: Tensor, _ factor: Float, seen: @escaping (_ gradient: Bool, _ saved: Bool) -> Void = { _, _ in }) -> Tensor {
    let y = Tensor(uninitialized: x.shape)
    for i in 0..<x.count { y.floats[i] = factor * x.floats[i] }
    guard let tape = x.trace?.tape else { return y }
    return tape.record("node", [x], saving: [x], outputs: [y]) { context in
      guard var gradient = context.take() else { return [nil] }
      var saved = context.takeSaved(0)
      seen(gradient.isUniquelyOwned(), saved.isUniquelyOwned())
      let result = Tensor(uninitialized: gradient.shape)
      for i in 0..<result.count { result.floats[i] = factor * gradient.floats[i] }
      return [result]
    }[0]
  }

  @Test func gradientsOfAllPathsAreSummed() {
    let (tape, box) = (Tape(), GradientBox())
    let x = tape.watch(Tensor([Float(1), 2], [2]), for: box)
    let y = node(x, 3)
    let sum = tape.record("sum", [node(y, 5), node(y, 7), x], saving: [], outputs: [Tensor(zeros: [2])]) { context in
      let gradient = context.take()
      return [gradient, gradient, gradient]
    }[0]
    tape.backward(from: sum, seed: Tensor([Float(1), 10], [2]))
    #expect(box.gradient?.array(Float.self) == [37, 370])
  }

  @Test func rulesOwnWhatTheyGet() {
    let (tape, box) = (Tape(), GradientBox())
    var owned: [Bool] = []
    let y = {
      let x = tape.watch(Tensor([Float(1), 2], [2]), for: box)
      let hidden = node(x, 2)
      return node(hidden, 3) { owned += [$0, $1] }
    }()
    tape.backward(from: y)
    #expect(owned == [true, true])
    #expect(box.gradient?.array(Float.self) == [6, 6])
  }

  @Test func nothingIsRecordedWithoutNeed() {
    let tape = Tape()
    let y = node(tape.carry(Tensor([Float(1)], [1])), 2)
    #expect(!y.needsGradient)
    #expect(tape.savedBytes == 0)
  }

  @Test func savedBytesCountEachStorageOnce() {
    let (tape, box) = (Tape(), GradientBox())
    let x = tape.watch(Tensor(zeros: [16]), for: box)
    _ = (node(x, 1), node(x, 2))
    #expect(tape.savedBytes == 64)
  }

  @Test func destinationAddsToWhatHasArrived() {
    let (tape, box) = (Tape(), GradientBox())
    var flags: [Bool] = []
    let twice = { (x: Tensor) -> Tensor in
      tape.record("twice", [x], saving: [], outputs: [x.copied()]) { context in
        guard let gradient = context.take() else { return [nil] }
        let (target, accumulate) = context.destination(0, [2])
        flags.append(accumulate)
        for i in 0..<2 { target.floats[i] = (accumulate ? target.floats[i] : 0) + 2 * gradient.floats[i] }
        return [target]
      }[0]
    }
    let x = tape.watch(Tensor([Float(1), 2], [2]), for: box)
    let parts = [twice(x), twice(x), twice(x)]
    let sum = tape.record("sum", parts, saving: [], outputs: [Tensor(zeros: [2])]) { context in
      let gradient = context.take()
      return [gradient, gradient, gradient]
    }[0]
    tape.backward(from: sum)
    #expect(flags == [false, true, true])
    #expect(box.gradient?.array(Float.self) == [6, 6])
  }

  @Test func aSinkKeepsItsSumOverPasses() {
    let box = GradientBox()
    for _ in 0..<3 {
      let tape = Tape()
      tape.backward(from: node(tape.watch(Tensor([Float(1)], [1]), for: box), 2))
    }
    #expect(box.gradient?.array(Float.self) == [6])
  }
}

@Suite struct RemakingTests {
  /// `x · factor`, whose output is computed again where it is wanted.
  private func cheap(_ x: Tensor, _ factor: Float, made: @escaping () -> Void = {}) -> Tensor {
    let body = { (x: Tensor) -> Tensor in
      let y = Tensor(uninitialized: x.shape)
      for i in 0..<x.count { y.floats[i] = factor * x.floats[i] }
      return y
    }
    guard let tape = x.trace?.tape else { return body(x) }
    let remaking: Remaking = { saved in
      made()
      return body(saved[0])
    }
    return tape.record("cheap", [x], saving: [x], outputs: [body(x)], remaking: remaking) { context in
      [context.take().map(body)]
    }[0]
  }

  /// `x²`
  private func square(_ x: Tensor) -> Tensor {
    guard let tape = x.trace?.tape else { return x }
    let times = { (a: Tensor, b: Tensor, factor: Float) -> Tensor in
      Tensor(zip(a.floats, b.floats).map { factor * $0 * $1 }, a.shape)
    }
    return tape.record("square", [x], saving: [x], outputs: [times(x, x, 1)]) { context in
      [context.take().map { times($0, context.saved[0], 2) }]
    }[0]
  }

  @Test func cheapOutputsAreNotKept() {
    let (tape, box) = (Tape(), GradientBox())
    var count = 0
    let x = tape.watch(Tensor([Float](repeating: 3, count: 16), [16]), for: box)
    let y = {
      let scaled = cheap(cheap(x, 2) { count += 1 }, 5) { count += 1 }
      let a = square(scaled)
      let b = square(scaled.reshaped([4, 4])).reshaped([16])
      return tape.record("sum", [a, b], saving: [], outputs: [Tensor(zeros: [16])]) { context in
        let gradient = context.take()
        return [gradient, gradient]
      }[0]
    }()
    // x alone: what both ops scale is computed again, once, for both squares.
    #expect(tape.savedBytes == 64)
    tape.backward(from: y)
    #expect(count == 2)
    #expect(box.gradient?.array(Float.self) == [Float](repeating: 2 * 2 * 30 * 10, count: 16))
  }
}
