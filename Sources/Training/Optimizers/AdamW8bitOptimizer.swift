import SwiftletCPU
import SwiftletCUDA
import SwiftletLayers
import SwiftletOps
import SwiftletTensorCore

/// AdamW with block-wise 8-bit moments (Dettmers et al., 2022), as bitsandbytes computes it on the CPU: the mean in the signed dynamic
/// format, the mean of squares in the unsigned one, each with the largest magnitude of its block of 256 as scale. Parameters under 4096
/// elements keep float32 moments. Gradients that are not finite count as zero.
public final class AdamW8bitOptimizer: Optimizer {
  /// Elements that share a scale.
  public static let blockSize = AdamW8bit.blockSize
  /// Parameters with fewer elements keep float32 moments.
  public static let smallestQuantised = 4096
  /// Parameters with fewer elements stay on a GPU where others are paged.
  public static let smallestPaged = 65536

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
  /// The optimizer's numbers.
  public let options: AdamWOptions
  private var done = 0
  private let onGPU: GPUOptimizer?

  /// State zero for each parameter.
  /// - Parameter isPaged: whether of large matrices on a GPU values, gradients and moments lie in pinned host memory.
  public init(_ parameters: [Parameter], _ options: AdamWOptions, isPaged: Bool = false) {
    self.options = options
    let device = GPUOptimizer.device(of: parameters)
    if isPaged, device != nil {
      for parameter in parameters where parameter.shape.count >= Self.smallestPaged { parameter.page() }
    }
    let entries = parameters.map {
      Entry(parameter: $0, moments: Self.moments($0.shape, on: device ?? .cpu, isPaged), decay: Float(options.decay(of: $0)))
    }
    self.entries = entries
    onGPU = device.map { GPUOptimizer(parameters, options, moments: entries.map { Self.described($0, options) }, on: $0) }
  }

  /// What is trained.
  public var parameters: [Parameter] { entries.map(\.parameter) }
  /// Updates done so far.
  public var updates: Int { onGPU?.updates ?? done }

  private static func moments(_ shape: Shape, on device: Device, _ isPaged: Bool) -> Moments {
    guard shape.count >= smallestQuantised else {
      return .full(m: Tensor(zeros: shape, part: .optimizer, on: device), v: Tensor(zeros: shape, part: .optimizer, on: device))
    }
    let blocks = Shape([(shape.count + blockSize - 1) / blockSize])
    return .coded(
      m: codes(127, shape, device, isPaged), v: codes(0, shape, device, isPaged),
      mScale: Tensor(zeros: blocks, part: .optimizer, on: device), vScale: Tensor(zeros: blocks, part: .optimizer, on: device))
  }

  /// Codes of one value, on the device or in host memory that it can read.
  private static func codes(_ code: UInt8, _ shape: Shape, _ device: Device, _ isPaged: Bool) -> Tensor {
    if isPaged, device.isCUDA {
      let memory = PinnedMemory(shape.count, on: device.gpu)
      if memory.isPinned {
        if !device.gpu.isSimulated { memory.pointer.initializeMemory(as: UInt8.self, repeating: code, count: shape.count) }
        return Tensor(Storage(viewing: memory.pointer, byteCount: shape.count, owner: memory), shape: shape, dtype: .uint8)
      }
    }
    let tensor = Tensor(uninitialized: shape, .uint8, part: .optimizer, on: device)
    if device.isCUDA {
      device.gpu.fill(tensor.address, byte: code, bytes: shape.count)
    } else {
      tensor.elements(UInt8.self).update(repeating: code)
    }
    return tensor
  }

  /// The moments as the GPU finds them.
  private static func described(_ entry: Entry, _ options: AdamWOptions) -> GPUAdamW.Moments {
    let decay = options.decay(of: entry.parameter)
    switch entry.moments {
    case .full(let m, let v): return GPUAdamW.Moments(count: m.count, m: m.placeForGPU, v: v.placeForGPU, decay: decay)
    case .coded(let m, let v, let mScale, let vScale):
      return GPUAdamW.Moments(count: m.count, m: m.placeForGPU, v: v.placeForGPU, mScale: mScale, vScale: vScale, decay: decay)
    }
  }

  /// One update of every parameter.
  public func update(learningRate: Double, gradientScale: Float) {
    if let onGPU { return onGPU.step(learningRate: learningRate, maximumNorm: 0, gradientScale: Double(gradientScale)) }
    done += 1
    for entry in entries {
      let gradient = entry.parameter.gradient ?? Tensor(zeros: entry.parameter.shape, part: .gradients)
      entry.parameter.update { value in update(value, gradient, entry, Float(learningRate), gradientScale) }
    }
  }

  private func update(_ value: Tensor, _ gradient: Tensor, _ entry: Entry, _ rate: Float, _ scale: Float) {
    switch entry.moments {
    case .full(let m, let v):
      AdamW.update(
        parameter: value, gradient: gradient, m: m, v: v, step: done, learningRate: rate, beta1: Float(options.beta1),
        beta2: Float(options.beta2), epsilon: Float(options.epsilon), weightDecay: entry.decay, gradientScale: scale)
    case .coded(let m, let v, let mScale, let vScale):
      let step = AdamW8bit.Coefficients(
        beta1: options.beta1, beta2: options.beta2, epsilon: options.epsilon, step: done, rate: rate, decay: entry.decay,
        gradientScale: scale)
      AdamW8bit.update(step, parameter: value, gradient: gradient, m: m, v: v, mScale: mScale, vScale: vScale)
    }
  }

  /// `<parameter>.m` and `.v`; for coded moments also `.m.absmax` and `.v.absmax`.
  public var state: [(name: String, tensor: Tensor)] {
    // Paged moments are read by the host.
    GPUOptimizer.device(of: parameters)?.gpu.synchronize()
    return entries.flatMap { entry -> [(name: String, tensor: Tensor)] in
      let name = entry.parameter.name
      switch entry.moments {
      case .full(let m, let v): return [(name + ".m", m), (name + ".v", v)]
      case .coded(let m, let v, let mScale, let vScale):
        return [(name + ".m", m), (name + ".v", v), (name + ".m.absmax", mScale), (name + ".v.absmax", vScale)]
      }
    }
  }

  /// Takes over the number of updates.
  public func restore(updates: Int) {
    done = updates
    onGPU?.restore(updates: updates)
  }

  /// Two bytes a number and two scales a block; eight bytes a number for small parameters.
  public static func stateBytes(count: Int) -> Int {
    count < smallestQuantised ? 8 * count : 2 * count + 8 * ((count + blockSize - 1) / blockSize)
  }
}

extension AdamW8bitOptimizer: GPUOptimizing {
  var gpu: GPUOptimizer? { onGPU }
}
