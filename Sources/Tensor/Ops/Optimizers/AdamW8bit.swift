import SwiftletCPU
import SwiftletTensorCore

/// AdamW with block-wise 8-bit moments (Dettmers et al., 2022), as bitsandbytes computes it on the CPU.
public enum AdamW8bit {
  /// Elements that share a scale.
  public static let blockSize = 256

  /// The numbers of one step, worked out once.
  public struct Coefficients {
    let beta1, beta2, gain1, gain2, epsilon, decay, stepSize, rootCorrection, gradientScale: Float

    /// - Parameter step: t, from 1 on.
    public init(
      beta1: Double, beta2: Double, epsilon: Double, step: Int, rate: Float, decay: Float, gradientScale: Float
    ) {
      (self.beta1, self.beta2, self.epsilon) = (Float(beta1), Float(beta2), Float(epsilon))
      (gain1, gain2) = (Float(1 - beta1), Float(1 - beta2))
      func power(_ base: Double) -> Double { (0..<min(step, 1 << 20)).reduce(1.0) { product, _ in product * base } }
      self.decay = Float(1 - Double(rate) * Double(decay))
      stepSize = Float(Double(rate) / (1 - power(beta1)))
      rootCorrection = Float((1 - power(beta2)).squareRoot())
      self.gradientScale = gradientScale
    }
  }

  /// One step, in place: p ← p(1 − ηλ) − η/(1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε). A gradient that is not finite counts as zero.
  ///
  /// - Parameters:
  ///   - parameter: float32, any shape; `gradient` alike.
  ///   - m: uint8, codes of the signed dynamic map, at first 127; `v` of the unsigned one, at first 0.
  ///   - mScale: float32, for each 256 elements the largest magnitude, at first 0; `vScale` alike.
  public static func update(
    _ step: Coefficients, parameter: Tensor, gradient: Tensor, m: Tensor, v: Tensor, mScale: Tensor, vScale: Tensor
  ) {
    let (p, g, mCodes, vCodes) = (parameter.floats, gradient.floats, m.elements(UInt8.self), v.elements(UInt8.self))
    let (mScales, vScales) = (mScale.floats, vScale.floats)
    parallelFor(mScales.count, grain: 16) { blocks in
      var scratch = BlockScratch()
      for block in blocks {
        let range = block * blockSize..<min((block + 1) * blockSize, p.count)
        scratch.update(step, p, g, mCodes, vCodes, &mScales[block], &vScales[block], range)
      }
    }
  }
}

/// One block's moments as numbers.
private struct BlockScratch {
  private var m = [Float](repeating: 0, count: AdamW8bit.blockSize)
  private var v = [Float](repeating: 0, count: AdamW8bit.blockSize)

  /// Decodes, updates, applies and codes again one block.
  mutating func update(
    _ step: AdamW8bit.Coefficients, _ p: UnsafeMutableBufferPointer<Float>, _ g: UnsafeMutableBufferPointer<Float>,
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
