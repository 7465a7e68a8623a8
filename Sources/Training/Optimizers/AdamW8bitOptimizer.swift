import SwiftletCPU
import SwiftletLayers
import SwiftletOps
import SwiftletTensorCore

/// AdamW with block-wise 8-bit moments (Dettmers et al., 2022), as bitsandbytes computes it on the CPU: the mean in the signed dynamic
/// format, the mean of squares in the unsigned one, each with the largest magnitude of its block of 256 as scale. Parameters under 4096
/// elements keep float32 moments. Gradients that are not finite count as zero.
public final class AdamW8bitOptimizer: Optimizer {
  /// Elements that share a scale.
  public static let blockSize = 256
  /// Parameters with fewer elements keep float32 moments.
  public static let smallestQuantised = 4096

  private enum Moments {
    case full(m: Tensor, v: Tensor)
    case coded(m: Tensor, v: Tensor, mScale: Tensor, vScale: Tensor)
  }
  private struct Entry {
    let parameter: Parameter
    let moments: Moments
    let decay: Float
  }

  private let entries: [Entry]
  private let options: AdamWOptions
  /// Updates done so far.
  public private(set) var updates = 0

  /// State zero for each parameter.
  public init(_ parameters: [Parameter], _ options: AdamWOptions) {
    self.options = options
    entries = parameters.map { Entry(parameter: $0, moments: Self.moments($0.shape), decay: Float(options.decay(of: $0))) }
  }

  private static func moments(_ shape: Shape) -> Moments {
    guard shape.count >= smallestQuantised else {
      return .full(m: Tensor(zeros: shape, part: .optimizer), v: Tensor(zeros: shape, part: .optimizer))
    }
    let m = Tensor(zeros: shape, .uint8, part: .optimizer)
    m.elements(UInt8.self).update(repeating: 127)
    let blocks = Shape([(shape.count + blockSize - 1) / blockSize])
    return .coded(
      m: m, v: Tensor(zeros: shape, .uint8, part: .optimizer), mScale: Tensor(zeros: blocks, part: .optimizer),
      vScale: Tensor(zeros: blocks, part: .optimizer))
  }

  /// One update of every parameter.
  public func update(learningRate: Double, gradientScale: Float) {
    updates += 1
    for entry in entries {
      let gradient = entry.parameter.gradient ?? Tensor(zeros: entry.parameter.shape, part: .gradients)
      entry.parameter.update { value in update(value, gradient, entry, Float(learningRate), gradientScale) }
    }
  }

  private func update(_ value: Tensor, _ gradient: Tensor, _ entry: Entry, _ rate: Float, _ scale: Float) {
    switch entry.moments {
    case .full(let m, let v):
      AdamW.update(
        parameter: value, gradient: gradient, m: m, v: v, step: updates, learningRate: rate, beta1: Float(options.beta1),
        beta2: Float(options.beta2), epsilon: Float(options.epsilon), weightDecay: entry.decay, gradientScale: scale)
    case .coded(let m, let v, let mScale, let vScale):
      let step = Coefficients(options, updates, rate, entry.decay, scale)
      let (p, g, mCodes, vCodes) = (value.floats, gradient.floats, m.elements(UInt8.self), v.elements(UInt8.self))
      let (mScales, vScales) = (mScale.floats, vScale.floats)
      parallelFor(mScales.count, grain: 16) { blocks in
        var scratch = BlockScratch()
        for block in blocks {
          let range = block * Self.blockSize..<min((block + 1) * Self.blockSize, p.count)
          scratch.update(step, p, g, mCodes, vCodes, &mScales[block], &vScales[block], range)
        }
      }
    }
  }

  /// `<parameter>.m` and `.v`; for coded moments also `.m.absmax` and `.v.absmax`.
  public var state: [(name: String, tensor: Tensor)] {
    entries.flatMap { entry -> [(name: String, tensor: Tensor)] in
      let name = entry.parameter.name
      switch entry.moments {
      case .full(let m, let v): return [(name + ".m", m), (name + ".v", v)]
      case .coded(let m, let v, let mScale, let vScale):
        return [(name + ".m", m), (name + ".v", v), (name + ".m.absmax", mScale), (name + ".v.absmax", vScale)]
      }
    }
  }

  /// Takes over the number of updates.
  public func restore(updates: Int) { self.updates = updates }

  /// Two bytes a number and two scales a block; eight bytes a number for small parameters.
  public static func stateBytes(count: Int) -> Int {
    count < smallestQuantised ? 8 * count : 2 * count + 8 * ((count + blockSize - 1) / blockSize)
  }
}

/// The numbers of one step, worked out once.
private struct Coefficients {
  let beta1, beta2, gain1, gain2, epsilon, decay, stepSize, rootCorrection, gradientScale: Float

  init(_ options: AdamWOptions, _ step: Int, _ rate: Float, _ decay: Float, _ gradientScale: Float) {
    (beta1, beta2, epsilon) = (Float(options.beta1), Float(options.beta2), Float(options.epsilon))
    (gain1, gain2) = (Float(1 - options.beta1), Float(1 - options.beta2))
    func power(_ base: Double) -> Double { (0..<min(step, 1 << 20)).reduce(1.0) { product, _ in product * base } }
    self.decay = Float(1 - Double(rate) * Double(decay))
    stepSize = Float(Double(rate) / (1 - power(options.beta1)))
    rootCorrection = Float((1 - power(options.beta2)).squareRoot())
    self.gradientScale = gradientScale
  }
}

/// One block's moments as numbers.
private struct BlockScratch {
  private var m = [Float](repeating: 0, count: AdamW8bitOptimizer.blockSize)
  private var v = [Float](repeating: 0, count: AdamW8bitOptimizer.blockSize)

  /// Decodes, updates, applies and codes again one block.
  mutating func update(
    _ step: Coefficients, _ p: UnsafeMutableBufferPointer<Float>, _ g: UnsafeMutableBufferPointer<Float>,
    _ mCodes: UnsafeMutableBufferPointer<UInt8>, _ vCodes: UnsafeMutableBufferPointer<UInt8>, _ mScale: inout Float,
    _ vScale: inout Float, _ range: Range<Int>
  ) {
    let (signed, unsigned) = (DynamicMap.signed, DynamicMap.unsigned)
    var (mMax, vMax): (Float, Float) = (0, 0)
    for (i, at) in range.enumerated() {
      let scaled = g[at] * step.gradientScale
      let gradient = scaled.isFinite ? scaled : 0
      m[i] = step.beta1 * (signed.values[Int(mCodes[at])] * mScale) + step.gain1 * gradient
      v[i] = step.beta2 * (unsigned.values[Int(vCodes[at])] * vScale) + step.gain2 * gradient * gradient
      p[at] = p[at] * step.decay - step.stepSize * (m[i] / (v[i].squareRoot() / step.rootCorrection + step.epsilon))
      (mMax, vMax) = (max(mMax, abs(m[i])), max(vMax, v[i]))
    }
    (mScale, vScale) = (mMax, vMax)
    let (mInverse, vInverse): (Float, Float) = (mMax > 0 ? 1 / mMax : 0, vMax > 0 ? 1 / vMax : 0)
    signed.codes.withUnsafeBufferPointer { codes in
      for (i, at) in range.enumerated() { mCodes[at] = DynamicMap.code(m[i] * mInverse, codes) }
    }
    unsigned.codes.withUnsafeBufferPointer { codes in
      for (i, at) in range.enumerated() { vCodes[at] = DynamicMap.code(v[i] * vInverse, codes) }
    }
  }
}
